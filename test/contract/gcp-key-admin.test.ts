import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, afterEach, beforeEach, describe, it } from 'node:test';
import type { KeyWrapper } from '../../src/core/key-wrapper.ts';
import { Secret } from '../../src/core/secret.ts';
import type { KeyAdmin, KeyVersion } from '../../src/keys/key-admin.ts';
import { createKeyring, formatKeyring } from '../../src/keys/keyring.ts';
import { openKeyAdmin } from '../../src/keys/open-key-admin.ts';
import { openKeyWrapper } from '../../src/keys/open-key-wrapper.ts';
import { readKeyEncryptionKey } from '../../src/keys/read-key-encryption-key.ts';
import { parseKeyReference, type WrapperReference } from '../../src/keys/secret-reference.ts';
import { assertFails } from '../support/assert-key-failure.ts';
import { GcpKmsDouble } from '../support/gcp-kms-double.ts';
import { googleError } from '../support/gcp-rest-double.ts';
import { GcpSecretsDouble } from '../support/gcp-secrets-double.ts';
import { ownGoogleEnvironment } from '../support/google-environment.ts';

const environment = await ownGoogleEnvironment();
after(async () => await environment[Symbol.asyncDispose]());

const lostAnswer = googleError('UNAVAILABLE', 'The service is currently unavailable.');

function summaryOf(versions: readonly KeyVersion[]): unknown[] {
  return versions.map(({ keyId, version, state }) => [version, state, keyId]);
}

describe('a key in Google Secret Manager', () => {
  let double: GcpSecretsDouble;

  beforeEach(async () => {
    double = await GcpSecretsDouble.start(environment.folder);
    process.env['GOOGLE_APPLICATION_CREDENTIALS'] = double.rest.keyFile;
  });
  afterEach(async () => await double[Symbol.asyncDispose]());

  function access(): { readonly env: Record<string, string> } {
    return { env: { LIBRELOG_BACKUP_GCP_SECRETS_ENDPOINT: double.rest.endpoint } };
  }

  async function open(location = 'key', signal?: AbortSignal): Promise<KeyAdmin> {
    const reference = parseKeyReference(`gcp-sm:test-project/${location}`);
    return await openKeyAdmin(reference, { ...access(), ...(signal !== undefined && { signal }) });
  }

  async function keyIdOf(location: string): Promise<string> {
    const { secret, keyId } = await readKeyEncryptionKey(`gcp-sm:test-project/${location}`, access());
    secret[Symbol.dispose]();
    return keyId;
  }

  function textOf(name: string): string | undefined {
    return double.secrets.get(name)?.at(-1)?.data.toString();
  }

  it('is made where there is none, and never over another', async () => {
    using admin = await open();
    await assertFails(admin.list(), { kind: 'key', message: /there is no such secret or version/ });
    await assertFails(admin.rotate(), { kind: 'key', message: /there is no key$/, hint: /keys generate/ });
    const made = await admin.generate();
    assert.deepEqual([made.version, made.state], ['1', 'active']);
    assert.equal(await keyIdOf('key'), made.keyId);
    await assertFails(admin.generate(), { kind: 'conflict', message: /there is a key in gcp-sm:test-project\/key/ });
    assert.deepEqual(await admin.list(), [made]);
  });

  it('is made also where the answer that the secret was made got lost, or the secret has no version yet', async () => {
    using admin = await open();
    double.secrets.set('key', []);
    assert.equal((await admin.generate()).version, '1');
    double.secrets.clear();
    using other = await open();
    double.rest.failures.push(googleError('NOT_FOUND', 'Secret not found.'), lostAnswer);
    const { keyId } = await other.generate();
    assert.equal(await keyIdOf('key'), keyId);
  });

  it('says conflict when another has just made it', async () => {
    using admin = await open();
    const value = randomBytes(32).toString('base64');
    double.add('key', value);
    double.rest.failures.push(googleError('NOT_FOUND', 'Secret not found.'));
    await assertFails(admin.generate(), { kind: 'conflict', message: /it is there already/ }, [value]);
    assert.equal(textOf('key'), value);
  });

  it('gets new versions, and the earlier ones go on opening what they wrapped', async () => {
    using admin = await open();
    using other = await open();
    const first = await admin.generate();
    const both = await Promise.all([admin.rotate(), other.rotate()]);
    const last = await admin.rotate();
    const made = [first, ...both, last].toSorted((one, two) => Number(one.version) - Number(two.version));
    for (const { keyId, version } of made) assert.equal(await keyIdOf(`key@${version}`), keyId);
    assert.equal(await keyIdOf('key'), last.keyId);
    const listed = await admin.list();
    assert.deepEqual(
      summaryOf(listed),
      made.map(({ keyId, version }) => [version, version === '4' ? 'active' : 'retired', keyId]),
    );
    assert.deepEqual(listed.at(-1)?.createdAt, last.createdAt);
  });

  it('gets one new version, though the answer that it was made got lost', async () => {
    using admin = await open();
    for (const [version, change] of [
      ['1', async () => await admin.generate()],
      ['2', async () => await admin.rotate()],
    ] as const) {
      double.loseAnswers = 1;
      const made = await change();
      assert.deepEqual([made.version, double.secrets.get('key')?.length], [version, Number(version)]);
      assert.deepEqual((await admin.list()).at(-1), made);
    }
  });

  it('loses one version for good, but not the active one while there are others', async () => {
    using admin = await open();
    const first = await admin.generate();
    const second = await admin.rotate();
    await assertFails(admin.destroy(second), { kind: 'conflict', message: /version 2 .* is the active one/ });
    await admin.destroy(first);
    await assertFails(keyIdOf('key@1'), { kind: 'key', message: /key@1: version 1 .* is destroyed/ });
    assert.equal(await keyIdOf('key'), second.keyId);
    assert.deepEqual(summaryOf(await admin.list()), [
      ['1', 'destroyed', null],
      ['2', 'active', second.keyId],
    ]);
    await assertFails(admin.destroy(first), { kind: 'key', message: /DESTROYED/ });
    await assertFails(admin.destroy({ ...first, version: '7' }), { kind: 'key', message: /has no version 7/ });
    await admin.destroy(second);
    assert.deepEqual(
      (await admin.list()).map(({ state }) => state),
      ['destroyed', 'destroyed'],
    );
  });

  it('tells of a version that is disabled', async () => {
    using admin = await open();
    await admin.generate();
    const { version } = await admin.rotate();
    const disabled = double.secrets.get('key')?.[0];
    if (disabled !== undefined) disabled.state = 'DISABLED';
    const [first, second] = await admin.list();
    assert.deepEqual([first?.state, first?.keyId, second?.version], ['disabled', null, version]);
  });

  it('may be a field, whose neighbours stay, also when a version would be destroyed', async () => {
    double.add('keys', '{"user":"x"}');
    using admin = await open('keys#a');
    using neighbour = await open('keys#b');
    const first = await admin.generate();
    await neighbour.generate();
    await neighbour.rotate();
    assert.match(textOf('keys') ?? '', /^\{"user":"x","a":"[^"]{44}","b":"[^"]{44}"\}$/);
    const listed = await admin.list();
    assert.deepEqual(summaryOf(listed), [
      ['2', 'retired', first.keyId],
      ['3', 'retired', first.keyId],
      ['4', 'active', first.keyId],
    ]);
    for (const { createdAt } of listed) assert.deepEqual(createdAt, first.createdAt, 'no younger by its neighbour');
    await admin.rotate();
    await assertFails(admin.destroy(first), { kind: 'usage', message: /version 2 .* may hold more than this key/ });
    assert.equal(await keyIdOf('keys#a@2'), first.keyId);
  });

  it('may be a keyring, which is listed and left alone', async () => {
    const createdAt = '2026-01-02T03:04:05.000Z';
    using keyring = createKeyring(new Secret(randomBytes(32)), createdAt);
    using text = formatKeyring(keyring);
    double.add('key', Buffer.from(text.reveal()));
    using admin = await open();
    const id = keyring.keys[0]?.id ?? '';
    assert.deepEqual(await admin.list(), [{ keyId: id, version: id, state: 'active', createdAt: new Date(createdAt) }]);
    await assertFails(admin.rotate(), { kind: 'usage', message: /is a keyring/ });
    await assertFails(admin.generate(), { kind: 'conflict', message: /there is a key/ });
    assert.equal(await keyIdOf(`key@${id}`), id);
  });

  it('says key when more than reading is not allowed, and names the role', async () => {
    using admin = await open();
    await admin.generate();
    double.isAdministrator = false;
    const denied = { kind: 'key', message: /permission denied/, hint: /Secret Manager Admin/ };
    await assertFails(admin.list(), denied);
    await assertFails(admin.rotate(), denied);
    assert.equal(double.secrets.get('key')?.length, 1);
  });

  it('gets no version by the name of another, and is given up when the signal says so', async () => {
    using pinned = await open('key@3');
    await assertFails(pinned.rotate(), { kind: 'usage', message: /names one version/ });
    const reason = new Error('enough');
    using admin = await open('key', AbortSignal.abort(reason));
    for (const call of [() => admin.list(), () => admin.generate(), () => admin.rotate()]) {
      await assert.rejects(call, (error) => error === reason);
    }
    assert.equal(double.rest.requests.length, 0);
  });
});

describe('a key of Google Cloud KMS', () => {
  const context = { backupId: '20261124T101500Z-7f3a9c', label: 'shop' };
  let double: GcpKmsDouble;

  beforeEach(async () => {
    double = await GcpKmsDouble.start(environment.folder);
    process.env['GOOGLE_APPLICATION_CREDENTIALS'] = double.rest.keyFile;
  });
  afterEach(async () => await double[Symbol.asyncDispose]());

  async function open(suffix = ''): Promise<KeyAdmin> {
    return await openKeyAdmin(parseKeyReference(`gcp-kms:${double.keyName}${suffix}`), access());
  }

  async function openWrapper(suffix = ''): Promise<KeyWrapper> {
    const reference = parseKeyReference(`gcp-kms:${double.keyName}${suffix}`) as WrapperReference;
    return await openKeyWrapper(reference, access());
  }

  function access(): { readonly env: Record<string, string> } {
    return { env: { LIBRELOG_BACKUP_GCP_KMS_ENDPOINT: double.rest.endpoint } };
  }

  it('is made in its key ring where there is none, and never over another', async () => {
    double.removeKey();
    using admin = await open();
    await assertFails(admin.list(), { kind: 'key', message: /there is no such key or version/ });
    const made = await admin.generate();
    assert.deepEqual([made.keyId, made.version, made.state], [double.keyName, '1', 'active']);
    using wrapper = await openWrapper();
    assert.partialDeepStrictEqual(await wrapper.wrap(new Secret(randomBytes(32)), context), { keyVersion: '1' });
    await assertFails(admin.generate(), { kind: 'conflict', message: /cannot make key .*: it is there already/ });
    assert.deepEqual(await admin.list(), [made]);
  });

  it('is known as its own when the answer that it was made got lost', async () => {
    double.removeKey();
    using admin = await open();
    await admin.generate();
    assert.match(JSON.stringify(double.labels), /^\{"librelog-backup-request":"[0-9a-f]{16}"\}$/);
    double.removeKey();
    double.loseAnswers = 1;
    using other = await open();
    assert.equal((await other.generate()).version, '1');
    assert.equal(double.versions.length, 1);
  });

  it('gets new versions, and the earlier ones go on opening what they wrapped', async () => {
    using admin = await open();
    using other = await open();
    using wrapper = await openWrapper();
    const before = await wrapper.wrap(new Secret(randomBytes(32)), context);
    const both = await Promise.all([admin.rotate(), other.rotate()]);
    assert.deepEqual(new Set(both.map(({ version }) => version)), new Set(['2', '3']));
    const listed = await admin.list();
    assert.equal(listed.length, 3);
    assert.equal(listed.filter(({ state }) => state === 'active').length, 1);
    assert.equal(listed.find(({ state }) => state === 'active')?.version, String(double.primary));
    assert.partialDeepStrictEqual(await wrapper.wrap(new Secret(randomBytes(32)), context), {
      keyVersion: String(double.primary),
    });
    assert.equal((await wrapper.unwrap(before, context))?.sizeBytes, 32);
  });

  it('gets one new version, though the answer that it was made got lost', async () => {
    using admin = await open();
    double.loseAnswers = 1;
    assert.partialDeepStrictEqual(await admin.rotate(), { version: '2', state: 'active' });
    assert.deepEqual([double.versions.length, double.primary], [2, 2]);
    assert.partialDeepStrictEqual(await admin.rotate(), { version: '3', state: 'active' });
  });

  it('becomes primary only when the new version is ready', async () => {
    double.firstState = 'PENDING_GENERATION';
    using admin = await open();
    assert.partialDeepStrictEqual(await admin.rotate(), { version: '2', state: 'active' });
    assert.equal(double.primary, 2);
    double.firstState = 'DISABLED';
    await assertFails(admin.rotate(), { kind: 'key', message: /its new version 3 is disabled/ });
    assert.equal(double.primary, 2);
  });

  it('has a version destroyed some day, which opens nothing from now on', async () => {
    using admin = await open();
    using wrapper = await openWrapper();
    const wrapped = await wrapper.wrap(new Secret(randomBytes(32)), context);
    const [first] = await admin.list();
    const second = await admin.rotate();
    assert.ok(first !== undefined);
    await assertFails(admin.destroy(second), { kind: 'conflict', message: /version 2 .* is the active one/ });
    await admin.destroy(first);
    await assertFails(wrapper.unwrap(wrapped, context), { kind: 'key', message: /version 1 of the key is destroy/ });
    assert.deepEqual(summaryOf(await admin.list()), [
      ['1', 'destroyed', double.keyName],
      ['2', 'active', double.keyName],
    ]);
    await admin.destroy(second);
    await assertFails(admin.destroy({ ...first, version: '9' }), { kind: 'key', message: /has no version 9/ });
  });

  it('tells its age to whoever wraps, where that is allowed', async () => {
    double.addVersion();
    using wrapper = await openWrapper();
    using old = await openWrapper('@1');
    assert.deepEqual(await wrapper.createdAt?.(), new Date(double.versions[1]?.createTime ?? ''));
    assert.deepEqual(await old.createdAt?.(), new Date(double.versions[0]?.createTime ?? ''));
    double.isAdministrator = false;
    assert.equal(await wrapper.createdAt?.(), null);
    using admin = await open();
    await assertFails(admin.list(), { kind: 'key', message: /permission denied/, hint: /Cloud KMS Admin/ });
    double.isAdministrator = true;
    using pinned = await open('@1');
    await assertFails(pinned.rotate(), { kind: 'usage', message: /names one version/ });
    assert.deepEqual(await pinned.list(), await admin.list());
  });
});
