import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, afterEach, beforeEach, describe, it } from 'node:test';
import type { KeyWrapper } from '../../src/core/key-wrapper.ts';
import { Secret } from '../../src/core/secret.ts';
import { wrappedKeySchema, type WrappedKey } from '../../src/core/wrapped-key.ts';
import { crc32c } from '../../src/keys/crc32c.ts';
import { openKeyWrapper } from '../../src/keys/open-key-wrapper.ts';
import type { SecretAccess } from '../../src/keys/read-secret.ts';
import { parseKeyReference, type WrapperReference } from '../../src/keys/secret-reference.ts';
import { assertFails } from '../support/assert-key-failure.ts';
import { GcpKmsDouble } from '../support/gcp-kms-double.ts';
import { googleError } from '../support/gcp-rest-double.ts';
import { ownGoogleEnvironment } from '../support/google-environment.ts';

const environment = await ownGoogleEnvironment();
after(async () => await environment[Symbol.asyncDispose]());

type CloudWrapped = Extract<WrappedKey, { provider: 'gcp-kms' }>;

const context = { backupId: '20261124T101500Z-7f3a9c', label: 'shop' };
const throttled = googleError('RESOURCE_EXHAUSTED', 'Quota exceeded for quota metric.');

function flipBit(wrapped: WrappedKey, at: number): WrappedKey {
  const bytes = Buffer.from(wrapped.wrapped, 'base64');
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  return { ...wrapped, wrapped: bytes.toString('base64') };
}

function versionOf(wrapped: WrappedKey): string | undefined {
  return 'keyVersion' in wrapped ? wrapped.keyVersion : undefined;
}

describe('CRC-32C', () => {
  it('gives the values of RFC 3720, appendix B.4', () => {
    assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa);
    assert.equal(crc32c(Buffer.alloc(32, 0xff)), 0x62a8ab43);
    assert.equal(crc32c(Uint8Array.from({ length: 32 }, (_, index) => index)), 0x46dd794e);
    assert.equal(crc32c(Uint8Array.from({ length: 32 }, (_, index) => 31 - index)), 0x113fdb5c);
  });
});

describe('a key of Google Cloud KMS', () => {
  let double: GcpKmsDouble;
  const dataKey = new Secret(randomBytes(32));
  const dataKeyTexts = [
    Buffer.from(dataKey.reveal()).toString('base64'),
    Buffer.from(dataKey.reveal()).toString('hex'),
  ];

  beforeEach(async () => {
    double = await GcpKmsDouble.start(environment.folder);
    process.env['GOOGLE_APPLICATION_CREDENTIALS'] = double.rest.keyFile;
  });
  afterEach(async () => await double[Symbol.asyncDispose]());

  async function open(suffix = '', access: Partial<SecretAccess> = {}): Promise<KeyWrapper> {
    const reference = parseKeyReference(`gcp-kms:${double.keyName}${suffix}`) as WrapperReference;
    const env = { LIBRELOG_BACKUP_GCP_KMS_ENDPOINT: double.rest.endpoint };
    return await openKeyWrapper(reference, { env, ...access });
  }

  async function assertOpens(wrapper: KeyWrapper, wrapped: WrappedKey): Promise<void> {
    using opened = await wrapper.unwrap(wrapped, context);
    assert.deepEqual(Buffer.from(opened?.reveal() ?? []), Buffer.from(dataKey.reveal()));
  }

  it('wraps and unwraps a data key, and names key and version', async () => {
    using wrapper = await open();
    const wrapped = await wrapper.wrap(dataKey, context);
    assert.deepEqual(wrappedKeySchema.parse(wrapped), wrapped);
    assert.partialDeepStrictEqual(wrapped, { provider: 'gcp-kms', keyId: double.keyName, keyVersion: '1' });
    await assertOpens(wrapper, wrapped);
    assert.equal(double.rest.requests.length, 2);
    assert.equal(wrapper.name, `gcp-kms:${double.keyName}`);
  });

  it('binds the data key to backup id and label', async () => {
    using wrapper = await open();
    const wrapped = await wrapper.wrap(dataKey, context);
    const { additionalAuthenticatedData: bound } = double.rest.requests[0]?.body ?? {};
    const text = Buffer.from(String(bound), 'base64').toString('utf8');
    assert.equal(text, '{"backup-id":"20261124T101500Z-7f3a9c","backup-label":"shop"}');
    for (const other of [{ backupId: '20261124T101500Z-7f3a9d' }, { label: 'shopping' }]) {
      await assertFails(wrapper.unwrap(wrapped, { ...context, ...other }), {
        kind: 'integrity',
        message: /^cannot unwrap a data key of version 1 with gcp-kms:.*changed, or belongs to another backup/,
      });
    }
  });

  it('notices an altered wrapped key, wherever it is altered', async () => {
    using wrapper = await open();
    const wrapped = await wrapper.wrap(dataKey, context);
    for (const at of [0, 4, 20, 50]) {
      await assertFails(wrapper.unwrap(flipBit(wrapped, at), context), { kind: 'integrity', message: /was changed/ });
    }
    const cut = { ...wrapped, wrapped: wrapped.wrapped.slice(0, 16) };
    await assertFails(wrapper.unwrap(cut, context), { kind: 'integrity', message: /was changed/ });
  });

  it('leaves wrapped keys alone that are not its own, without a request', async () => {
    using wrapper = await open();
    const wrapped = await wrapper.wrap(dataKey, context);
    assert.equal(await wrapper.unwrap({ ...wrapped, keyId: `${double.keyName}2` } as CloudWrapped, context), null);
    const foreign: WrappedKey = { provider: 'key', keyId: '00', algorithm: 'A256KW', wrapped: '' };
    assert.equal(await wrapper.unwrap(foreign, context), null);
    assert.equal(double.rest.requests.length, 1);
  });

  it('wraps with the primary version, and still opens what older ones wrapped', async () => {
    using wrapper = await open();
    const first = await wrapper.wrap(dataKey, context);
    double.addVersion();
    const second = await wrapper.wrap(dataKey, context);
    assert.deepEqual([versionOf(first), versionOf(second)], ['1', '2']);
    await assertOpens(wrapper, first);
    await assertOpens(wrapper, second);
    using old = await open('@1');
    assert.equal(versionOf(await old.wrap(dataKey, context)), '1');
    await assertOpens(old, second);
  });

  const states = [
    ['DISABLED', /version 1 of the key is disabled/, /^Enable the key version/],
    ['DESTROY_SCHEDULED', /version 1 of the key is destroy scheduled/, /^Restore the key version/],
    ['DESTROYED', /version 1 of the key is destroyed/, /another of its keys/],
  ] as const;
  for (const [state, message, hint] of states) {
    it(`says so when the version is ${state.toLowerCase()}`, async () => {
      using wrapper = await open();
      const wrapped = await wrapper.wrap(dataKey, context);
      double.setState(1, state);
      const expected = { kind: 'key', message, hint };
      await assertFails(wrapper.unwrap(wrapped, context), expected);
      await assertFails(wrapper.wrap(dataKey, context), expected, dataKeyTexts);
    });
  }

  it('says so when there is no such version, key or permission', async () => {
    using absent = await open('@9');
    const missing = { kind: 'key', message: /there is no such key or version/, hint: /key ring/ };
    await assertFails(absent.wrap(dataKey, context), missing, dataKeyTexts);
    using other = await open('-other');
    await assertFails(other.wrap(dataKey, context), missing, dataKeyTexts);
    using wrapper = await open();
    double.isPermitted = false;
    const denied = { kind: 'key', message: /permission denied/, hint: /CryptoKey Encrypter/ };
    await assertFails(wrapper.wrap(dataKey, context), denied, dataKeyTexts);
    double.rest.forgetAccount();
    const refused = { kind: 'key', message: /does not accept the credentials/, hint: /GOOGLE_APPLICATION_CREDENTIALS/ };
    await assertFails(wrapper.wrap(dataKey, context), refused, dataKeyTexts);
  });

  it('tries again when it is throttled, cut off or met by a failure', async () => {
    using wrapper = await open();
    double.rest.failures.push(throttled, { status: 502, body: '<html>Bad Gateway</html>' });
    const wrapped = await wrapper.wrap(dataKey, context);
    double.rest.failures.push('cut', googleError('UNAVAILABLE', 'The service is currently unavailable.'));
    await assertOpens(wrapper, wrapped);
    assert.equal(double.rest.requests.length, 6);
  });

  it('gives up on a service that stays throttled, failed or foreign', async () => {
    using wrapper = await open();
    double.rest.failures.push(...Array.from({ length: 5 }, () => throttled));
    await assertFails(
      wrapper.wrap(dataKey, context),
      { kind: 'key', message: /quota of requests is used up/ },
      dataKeyTexts,
    );
    assert.equal(double.rest.requests.length, 5);
    double.rest.failures.push({ status: 200, body: '<html>Welcome</html>' });
    const foreign = { kind: 'config', message: /what answers is not Cloud KMS/, hint: /GCP_KMS_ENDPOINT/ };
    await assertFails(wrapper.wrap(dataKey, context), foreign, dataKeyTexts);
    double.rest.failures.push({ status: 200, body: { name: double.keyName } });
    await assertFails(wrapper.wrap(dataKey, context), foreign, dataKeyTexts);
  });

  it('says key when the service is down', async () => {
    using wrapper = await open();
    const wrapped = await wrapper.wrap(dataKey, context);
    await double[Symbol.asyncDispose]();
    const expected = { kind: 'key', message: /cannot reach the service: .*ECONNREFUSED/, hint: /network/ };
    await assertFails(wrapper.unwrap(wrapped, context), expected, dataKeyTexts);
  });

  it('asks again for an answer whose checksum is wrong, and takes none that stays so', async () => {
    using wrapper = await open();
    const wrapped = await wrapper.wrap(dataKey, context);
    double.damage = { field: 'plaintext', times: 1 };
    await assertOpens(wrapper, wrapped);
    for (const field of ['plaintext', 'ciphertext']) {
      double.damage = { field, times: 5 };
      const call = field === 'plaintext' ? wrapper.unwrap(wrapped, context) : wrapper.wrap(dataKey, context);
      await assertFails(call, { kind: 'integrity', message: /does not fit its checksum/ }, dataKeyTexts);
    }
    double.unverified = 5;
    await assertFails(
      wrapper.wrap(dataKey, context),
      { kind: 'integrity', message: /does not fit its checksum/ },
      dataKeyTexts,
    );
  });

  it('ends at once, with the reason of the signal, while the answer hangs', async () => {
    const controller = new AbortController();
    using wrapper = await open('', { signal: controller.signal });
    double.rest.failures.push('hang');
    const reason = new Error('interrupted');
    setTimeout(() => controller.abort(reason), 200);
    await assert.rejects(wrapper.wrap(dataKey, context), (error) => error === reason);
    await assert.rejects(wrapper.wrap(dataKey, context), (error) => error === reason);
    assert.equal(double.rest.requests.length, 1);
  });

  it('does not send keys in the clear to another machine', async () => {
    for (const endpoint of [
      'http://kms.example.com',
      'ftp://kms.example.com',
      'https://user:word@kms.example.com',
      'x',
    ]) {
      const env = { LIBRELOG_BACKUP_GCP_KMS_ENDPOINT: endpoint };
      await assertFails(open('', { env }), { kind: 'config', message: /^LIBRELOG_BACKUP_GCP_KMS_ENDPOINT / }, ['word']);
    }
    await assertFails(open('@new'), { kind: 'config', message: /has a version that is not a number/ });
  });

  it('says key when there are no credentials that can be used', async () => {
    using wrapper = await open();
    process.env['GOOGLE_APPLICATION_CREDENTIALS'] = `${double.rest.keyFile}.absent`;
    const expected = { kind: 'key', message: /the file of GOOGLE_APPLICATION_CREDENTIALS does not exist/ };
    await assertFails(wrapper.wrap(dataKey, context), expected, dataKeyTexts);
    assert.equal(double.rest.requests.length, 0);
  });
});
