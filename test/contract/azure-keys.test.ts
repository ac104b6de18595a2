import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { beforeEach, describe, it } from 'node:test';
import type { KeyWrapper } from '../../src/core/key-wrapper.ts';
import { Secret } from '../../src/core/secret.ts';
import { wrappedKeySchema, type WrappedKey } from '../../src/core/wrapped-key.ts';
import { openKeyWrapper } from '../../src/keys/open-key-wrapper.ts';
import { readSecret, type SecretAccess, type SecretRead } from '../../src/keys/read-secret.ts';
import { parseKeyReference, parseSecretReference, type WrapperReference } from '../../src/keys/secret-reference.ts';
import { assertFails } from '../support/assert-key-failure.ts';
import { AzureVaultDouble, vaultError } from '../support/azure-vault-double.ts';
import { provideAzureVault } from '../support/azure-vault-under-test.ts';

const { folder, identity, vault: currentVault } = await provideAzureVault();

type VaultWrapped = Extract<WrappedKey, { provider: 'azure-key' }>;

const context = { backupId: '20261124T101500Z-7f3a9c', label: 'shop' };
const throttled = { ...vaultError(429, 'Throttled', 'Request was not processed.'), headers: { 'retry-after': '0' } };
let vault: AzureVaultDouble;

beforeEach(() => {
  vault = currentVault();
});

describe('a secret of Azure Key Vault', () => {
  async function read(item: string, access: Partial<SecretAccess> = {}): Promise<SecretRead> {
    return await readSecret(parseSecretReference(`azure-kv:${vault.host}/${item}`), { env: {}, ...access });
  }

  it('is read with its version, the newest by default, by a token for the service', async () => {
    const old = vault.addSecret('aes', 'old');
    const current = vault.addSecret('aes', 'été\n');
    const { secret, version, warnings } = await read('aes');
    assert.equal(secret.revealText(), 'été\n');
    assert.equal(version, current.id);
    assert.deepEqual(warnings, []);
    const first = await read(`aes@${old.id}`);
    assert.equal(first.secret.revealText(), 'old');
    assert.equal(first.version, old.id);
    assert.deepEqual([...new Set(identity.resources)], ['https://vault.azure.net']);
    assert.deepEqual(vault.requests, ['GET /secrets/aes/', `GET /secrets/aes/${old.id}`]);
  });

  it('gives a field', async () => {
    const { id } = vault.addSecret('keys', JSON.stringify({ aes: 'value' }));
    const { secret, version } = await read(`keys#aes@${id}`);
    assert.equal(secret.revealText(), 'value');
    assert.equal(version, id);
    await assertFails(read('keys#none'), { kind: 'key', message: /has no field "none"; its fields: aes/ });
  });

  it('is given with a warning when it has expired', async () => {
    vault.addSecret('aes', 'value').expires = Date.UTC(2025, 0, 2) / 1000;
    const { warnings } = await read('aes');
    assert.deepEqual(warnings, [`secret azure-kv:${vault.host}/aes has expired on 2025-01-02`]);
  });

  it('says so when it, its version or the permission is missing, or it is disabled', async () => {
    const version = vault.addSecret('aes', 'value-of-it');
    const missing = { kind: 'key', message: /^cannot read secret azure-kv:localhost\S+: there is no such secret/ };
    await assertFails(read('none'), missing);
    await assertFails(read(`aes@${'0'.repeat(32)}`), missing);
    version.isEnabled = false;
    await assertFails(read('aes'), { kind: 'key', message: /it is disabled/, hint: /^Enable/ });
    vault.isPermitted = false;
    await assertFails(read('aes'), { kind: 'key', message: /permission denied/, hint: /Key Vault Secrets User/ });
    vault.tokens.clear();
    await assertFails(read('aes'), { kind: 'key', message: /does not accept the identity/ });
  });

  it('says what the vault says behind its code: it is the firewall that does not let one in', async () => {
    const innererror = { code: 'ForbiddenByFirewall' };
    vault.failures.push({ status: 403, body: { error: { code: 'Forbidden', message: 'no', innererror } } });
    await assertFails(read('aes'), { kind: 'key', message: /firewall of the vault/, hint: /this machine's address/ });
  });

  it('is asked for again when the answer is throttled or cut', async () => {
    vault.addSecret('aes', 'value-of-it');
    vault.failures.push(throttled, 'cut', { status: 503, body: '<html>Busy</html>' });
    assert.equal((await read('aes')).secret.revealText(), 'value-of-it');
    assert.equal(vault.requests.length, 4);
  });

  it('does not get into the error of an answer that cannot be read', async () => {
    for (const body of ['{"value":"value-of-it', '{"value":"value-of-it"}', '{}', '[]']) {
      vault.failures.push({ status: 200, body });
      await assertFails(read('aes'), { kind: 'config', message: /is not an Azure Key Vault/ }, ['value-of-it']);
    }
    vault.failures.push({ status: 404, body: '<html>Not Found</html>' });
    await assertFails(read('aes'), { kind: 'config', message: /is not an Azure Key Vault/ });
  });

  it('says key when the vault is down, unknown or not trusted', async () => {
    const { host } = vault;
    await vault[Symbol.asyncDispose]();
    const down = readSecret(parseSecretReference(`azure-kv:${host}/aes`), { env: {} });
    await assertFails(down, { kind: 'key', message: /cannot reach the vault: .*ECONNREFUSED/, hint: /network/ });
    await using untrusted = await AzureVaultDouble.start(folder);
    vault = untrusted;
    await assertFails(read('aes'), { kind: 'key', message: /certificate .* not trusted/, hint: /NODE_EXTRA_CA_CERTS/ });
  });

  it('says config for a vault or for settings that cannot be', async () => {
    const odd = readSecret(parseSecretReference('azure-kv:safe:x/aes'), { env: {} });
    await assertFails(odd, { kind: 'config', message: /"safe:x" is not the name or the host/ });
    const proxied = read('aes', { env: { HTTPS_PROXY: 'user:word@proxy' } });
    await assertFails(proxied, { kind: 'config', message: /HTTPS_PROXY is not the address/ }, ['word']);
    process.env['AZURE_TOKEN_CREDENTIALS'] = 'Guess';
    const settings = { kind: 'config', message: /cannot look for an Azure identity: .*AZURE_TOKEN_CREDENTIALS/ };
    try {
      await assertFails(read('aes'), settings);
    } finally {
      process.env['AZURE_TOKEN_CREDENTIALS'] = 'ManagedIdentityCredential';
    }
  });

  it('is given up at once when the signal says so', async () => {
    const reason = new Error('interrupted');
    await assert.rejects(read('aes', { signal: AbortSignal.abort(reason) }), (error) => error === reason);
    vault.failures.push('hang');
    const signal = AbortSignal.timeout(300);
    await assert.rejects(read('aes', { signal }), (error) => error === signal.reason);
    assert.equal(vault.requests.length, 1);
  });
});

describe('a key of Azure Key Vault', () => {
  const dataKey = new Secret(randomBytes(32));
  const bytes = Buffer.from(dataKey.reveal());
  const dataKeyTexts = [bytes.toString('base64'), bytes.toString('base64url'), bytes.toString('hex')];

  async function open(item = 'data', access: Partial<SecretAccess> = {}): Promise<KeyWrapper> {
    const reference = parseKeyReference(`azure-key:${vault.host}/${item}`) as WrapperReference;
    return await openKeyWrapper(reference, { env: {}, ...access });
  }

  async function wrap(wrapper: KeyWrapper): Promise<VaultWrapped> {
    return (await wrapper.wrap(dataKey, context)) as VaultWrapped;
  }

  async function assertOpens(wrapper: KeyWrapper, wrapped: WrappedKey): Promise<void> {
    using opened = await wrapper.unwrap(wrapped, context);
    assert.deepEqual(Buffer.from(opened?.reveal() ?? []), bytes);
  }

  for (const [type, algorithm, size] of [
    ['RSA', 'RSA-OAEP-256', 256],
    ['RSA-HSM', 'RSA-OAEP-256', 256],
    ['oct-HSM', 'A256KW', 40],
  ] as const) {
    it(`of type ${type} wraps and unwraps by ${algorithm}`, async () => {
      const { id } = vault.addKey('data', type);
      using wrapper = await open();
      const wrapped = await wrap(wrapper);
      assert.deepEqual(wrappedKeySchema.parse(wrapped), wrapped);
      const keyId = `https://${vault.host}/keys/data`;
      assert.partialDeepStrictEqual(wrapped, { provider: 'azure-key', keyId, keyVersion: id, algorithm });
      assert.equal(Buffer.from(wrapped.wrapped, 'base64').byteLength, size);
      await assertOpens(wrapper, wrapped);
      assert.deepEqual(vault.requests, [
        'GET /keys/data/',
        `POST /keys/data/${id}/wrapkey`,
        `POST /keys/data/${id}/unwrapkey`,
      ]);
    });
  }

  it('notices an altered wrapped key, and one without a version', async () => {
    vault.addKey('data', 'RSA');
    using wrapper = await open();
    const wrapped = await wrap(wrapper);
    const altered = Buffer.from(wrapped.wrapped, 'base64');
    altered[100] = (altered[100] ?? 0) ^ 1;
    const changed = {
      kind: 'integrity',
      message: /^cannot unwrap a data key with version \w+ of azure-key:.*was changed/,
    };
    for (const bad of [altered, altered.subarray(0, 100), Buffer.alloc(0)]) {
      await assertFails(wrapper.unwrap({ ...wrapped, wrapped: bad.toString('base64') }, context), changed);
    }
    for (const keyVersion of ['../other', '']) {
      await assertFails(wrapper.unwrap({ ...wrapped, keyVersion }, context), {
        kind: 'integrity',
        message: /not name a version/,
      });
    }
  });

  it('opens what an older version wrapped, asking for exactly that one', async () => {
    const first = vault.addKey('data', 'RSA');
    using before = await open();
    const old = await wrap(before);
    const second = vault.addKey('data', 'RSA');
    using wrapper = await open();
    const current = await wrap(wrapper);
    assert.deepEqual([old.keyVersion, current.keyVersion], [first.id, second.id]);
    await assertOpens(wrapper, old);
    await assertOpens(before, current);
    await assertFails(wrapper.unwrap({ ...old, keyVersion: second.id }, context), {
      kind: 'integrity',
      message: /was changed/,
    });
    using pinned = await open(`data@${first.id}`);
    assert.equal((await wrap(pinned)).keyVersion, first.id);
  });

  it('asks only once what its newest version is, however many wrap at once', async () => {
    vault.addKey('data', 'RSA');
    using wrapper = await open();
    const all = await Promise.all(Array.from({ length: 8 }, async () => await wrap(wrapper)));
    await Promise.all(all.map(async (wrapped) => await assertOpens(wrapper, wrapped)));
    assert.equal(vault.requests.filter((request) => request.startsWith('GET')).length, 1);
    assert.equal(vault.requests.length, 17);
  });

  it('still opens old backups when the version has expired, and wraps no more', async () => {
    const version = vault.addKey('data', 'RSA');
    using before = await open();
    const wrapped = await wrap(before);
    version.expires = Date.UTC(2025, 0, 2) / 1000;
    using wrapper = await open();
    await assertOpens(wrapper, wrapped);
    await assertFails(wrapper.wrap(dataKey, context), { kind: 'key', message: /it has expired/ }, dataKeyTexts);
  });

  it('says so when key, version or permission is missing, or the version is disabled', async () => {
    const version = vault.addKey('data', 'RSA');
    using wrapper = await open();
    const wrapped = await wrap(wrapper);
    using absent = await open('none');
    const missing = { kind: 'key', message: /there is no such secret, key or version/ };
    await assertFails(absent.wrap(dataKey, context), missing, dataKeyTexts);
    await assertFails(wrapper.unwrap({ ...wrapped, keyVersion: '0'.repeat(32) }, context), missing);
    version.isEnabled = false;
    const disabled = {
      kind: 'key',
      message: new RegExp(`version ${version.id} of .*: it is disabled`),
      hint: /^Enable/,
    };
    await assertFails(wrapper.wrap(dataKey, context), disabled, dataKeyTexts);
    await assertFails(wrapper.unwrap(wrapped, context), disabled);
    vault.isPermitted = false;
    const denied = { kind: 'key', message: /permission denied/, hint: /Crypto Service Encryption User/ };
    await assertFails(wrapper.wrap(dataKey, context), denied, dataKeyTexts);
    await assertFails(wrapper.unwrap(wrapped, context), denied);
  });

  it('refuses a key that cannot wrap', async () => {
    vault.addKey('data', 'EC');
    using wrapper = await open();
    await assertFails(wrapper.wrap(dataKey, context), {
      kind: 'config',
      message: /a key of type EC, which cannot wrap/,
    });
  });

  it('leaves wrapped keys alone that are not its own, without a request', async () => {
    vault.addKey('data', 'RSA');
    using wrapper = await open();
    const wrapped = await wrap(wrapper);
    assert.equal(await wrapper.unwrap({ ...wrapped, keyId: `https://${vault.host}/keys/other` }, context), null);
    assert.equal(
      await wrapper.unwrap({ ...wrapped, keyId: 'https://elsewhere.vault.azure.net/keys/data' }, context),
      null,
    );
    assert.equal(
      await wrapper.unwrap({ provider: 'key', keyId: '00', algorithm: 'A256KW', wrapped: '' }, context),
      null,
    );
    assert.equal(vault.requests.length, 2);
  });

  it('tries again when it is throttled, cut off or met by a failure, and gives up in the end', async () => {
    vault.addKey('data', 'RSA');
    using wrapper = await open();
    vault.failures.push(throttled);
    const wrapped = await wrap(wrapper);
    vault.failures.push('cut', { status: 500, body: '' });
    await assertOpens(wrapper, wrapped);
    vault.failures.push(...Array.from({ length: 5 }, () => throttled));
    await assertFails(
      wrapper.wrap(dataKey, context),
      { kind: 'key', message: /the vault is overloaded/ },
      dataKeyTexts,
    );
    vault.failures.push(...Array.from({ length: 5 }, () => ({ status: 500, body: '' })));
    await assertFails(
      wrapper.wrap(dataKey, context),
      { kind: 'key', message: /has failed \(HTTP 500\)/ },
      dataKeyTexts,
    );
    await vault[Symbol.asyncDispose]();
    await assertFails(wrapper.unwrap(wrapped, context), { kind: 'key', message: /cannot reach the vault/ });
    await assertFails(wrapper.wrap(dataKey, context), { kind: 'key', message: /cannot reach the vault/ }, dataKeyTexts);
  });

  it('does not give its key away in the error of an answer that cannot be read', async () => {
    vault.addKey('data', 'RSA');
    using wrapper = await open();
    const wrapped = await wrap(wrapper);
    const foreign = { kind: 'config', message: /is not an Azure Key Vault/ };
    for (const body of [`{"value":"${bytes.toString('base64url')}`, '{}', '<html>']) {
      vault.failures.push({ status: 200, body });
      await assertFails(wrapper.unwrap(wrapped, context), foreign, dataKeyTexts);
    }
  });
});
