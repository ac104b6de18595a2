import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { beforeEach, describe, it } from 'node:test';
import type { KeyWrapper } from '../../src/core/key-wrapper.ts';
import { Secret } from '../../src/core/secret.ts';
import type { KeyAdmin } from '../../src/keys/key-admin.ts';
import { openKeyAdmin } from '../../src/keys/open-key-admin.ts';
import { openKeyWrapper } from '../../src/keys/open-key-wrapper.ts';
import { readKeyEncryptionKey } from '../../src/keys/read-key-encryption-key.ts';
import { readSecret } from '../../src/keys/read-secret.ts';
import { parseKeyReference, parseSecretReference, type WrapperReference } from '../../src/keys/secret-reference.ts';
import { assertFails } from '../support/assert-key-failure.ts';
import { type AzureVaultDouble, vaultError } from '../support/azure-vault-double.ts';
import { provideAzureVault } from '../support/azure-vault-under-test.ts';

const { vault: currentVault } = await provideAzureVault();

const throttled = { ...vaultError(429, 'Throttled', 'Request was not processed.'), headers: { 'retry-after': '0' } };
let vault: AzureVaultDouble;

beforeEach(() => {
  vault = currentVault();
});

async function open(scheme: 'azure-kv' | 'azure-key', item: string): Promise<KeyAdmin> {
  return await openKeyAdmin(parseKeyReference(`${scheme}:${vault.host}/${item}`), { env: {} });
}

describe('a key in Azure Key Vault', () => {
  async function keyIdOf(item: string): Promise<string> {
    const { secret, keyId } = await readKeyEncryptionKey(`azure-kv:${vault.host}/${item}`, { env: {} });
    secret[Symbol.dispose]();
    return keyId;
  }

  it('is made where there is none, and never over another', async () => {
    using admin = await open('azure-kv', 'key');
    await assertFails(admin.list(), { kind: 'key', message: /there is no such secret, key or version/ });
    await assertFails(admin.rotate(), { kind: 'key', message: /there is no key$/ });
    const made = await admin.generate();
    assert.equal(await keyIdOf('key'), made.keyId);
    await assertFails(admin.generate(), { kind: 'conflict', message: /there is a key in azure-kv:.* already/ });
    assert.equal(vault.secrets.get('key')?.length, 1);
    assert.deepEqual(await admin.list(), [made]);
    const { createdAt } = await readSecret(parseSecretReference(`azure-kv:${vault.host}/key`), { env: {} });
    assert.deepEqual(createdAt, made.createdAt);
  });

  it('gets new versions, and the earlier ones go on opening what they wrapped', async () => {
    using admin = await open('azure-kv', 'key');
    using other = await open('azure-kv', 'key');
    const made = [await admin.generate(), ...(await Promise.all([admin.rotate(), other.rotate()]))];
    assert.equal(new Set(made.map(({ keyId }) => keyId)).size, 3);
    for (const { keyId, version } of made) assert.equal(await keyIdOf(`key@${version}`), keyId);
    const listed = await admin.list();
    assert.deepEqual(
      listed.map(({ state }) => state),
      ['retired', 'retired', 'active'],
    );
    assert.deepEqual(new Set(listed.map(({ version }) => version)), new Set(made.map(({ version }) => version)));
    assert.equal(await keyIdOf('key'), listed.at(-1)?.keyId);
  });

  it('may be a field, whose neighbours, content type and tags stay', async () => {
    const facts = { contentType: 'application/json', tags: { team: 'ops' } };
    vault.addSecret('keys', '{"user":"x"}', facts);
    using admin = await open('azure-kv', 'keys#aes');
    const first = await admin.generate();
    const second = await admin.rotate();
    const { value, contentType, tags } = vault.secrets.get('keys')?.at(-1) ?? {};
    assert.match(value ?? '', /^\{"user":"x","aes":"[^"]{44}"\}$/);
    assert.deepEqual({ contentType, tags }, facts);
    assert.equal(await keyIdOf(`keys#aes@${first.version}`), first.keyId);
    assert.deepEqual(
      (await admin.list()).map(({ keyId }) => keyId),
      [first.keyId, second.keyId],
    );
  });

  it('cannot lose one version; one that is disabled is told of, and opens nothing', async () => {
    using admin = await open('azure-kv', 'key');
    const first = await admin.generate();
    await admin.rotate();
    await assertFails(admin.destroy(first), { kind: 'usage', message: /cannot be destroyed/, hint: /^Disable/ });
    for (const version of vault.secrets.get('key') ?? []) version.isEnabled = false;
    await assertFails(keyIdOf(`key@${first.version}`), { kind: 'key', message: /it is disabled/ });
    assert.deepEqual(
      (await admin.list()).map(({ state, keyId }) => [state, keyId]),
      [
        ['disabled', null],
        ['disabled', null],
      ],
    );
    await assertFails(admin.rotate(), { kind: 'key', message: /it is disabled/ });
    using pinned = await open('azure-kv', `key@${first.version}`);
    await assertFails(pinned.rotate(), { kind: 'usage', message: /names one version/ });
    assert.deepEqual(await pinned.list(), await admin.list());
  });

  it('says key when more than reading is not allowed, and names the role', async () => {
    using admin = await open('azure-kv', 'key');
    await admin.generate();
    vault.isOfficer = false;
    const denied = { kind: 'key', message: /permission denied/, hint: /Key Vault Secrets Officer/ };
    await assertFails(admin.list(), denied);
    await assertFails(admin.rotate(), denied);
  });

  it('is written once more when the vault throttles, or its answer is cut', async () => {
    using admin = await open('azure-kv', 'key');
    vault.failures.push(vaultError(404, 'SecretNotFound', 'not found'), throttled, 'cut');
    const { keyId } = await admin.generate();
    assert.equal(vault.secrets.get('key')?.length, 1);
    assert.equal(await keyIdOf('key'), keyId);
  });
});

describe('a new version in Azure Key Vault whose answer got lost', () => {
  for (const [scheme, kind] of [
    ['azure-kv', 'secrets'],
    ['azure-key', 'keys'],
  ] as const) {
    it(`is made once with ${scheme}`, async () => {
      using admin = await open(scheme, 'lost');
      for (const change of [async () => await admin.generate(), async () => await admin.rotate()]) {
        vault.loseAnswers = 1;
        const made = await change();
        assert.deepEqual((await admin.list()).at(-1), made);
      }
      assert.equal(vault[kind].get('lost')?.length, 2);
    });
  }
});

describe('a key of Azure Key Vault', () => {
  const context = { backupId: '20261124T101500Z-7f3a9c', label: 'shop' };

  async function openWrapper(item = 'data'): Promise<KeyWrapper> {
    const reference = parseKeyReference(`azure-key:${vault.host}/${item}`) as WrapperReference;
    return await openKeyWrapper(reference, { env: {} });
  }

  it('is made where there is none, and never over another', async () => {
    using admin = await open('azure-key', 'data');
    await assertFails(admin.list(), { kind: 'key', message: /there is no such secret, key or version/ });
    const made = await admin.generate();
    using wrapper = await openWrapper();
    const { provider: _provider, ...wrapped } = await wrapper.wrap(new Secret(randomBytes(32)), context);
    assert.partialDeepStrictEqual(wrapped, { keyId: made.keyId, keyVersion: made.version });
    assert.deepEqual(await wrapper.createdAt?.(), made.createdAt);
    await assertFails(admin.generate(), { kind: 'conflict', message: /there is a key azure-key:.* already/ });
    assert.equal(vault.keys.get('data')?.length, 1);
    assert.deepEqual(await admin.list(), [made]);
  });

  it('gets new versions, and the earlier ones go on opening what they wrapped', async () => {
    using admin = await open('azure-key', 'data');
    using other = await open('azure-key', 'data');
    const first = await admin.generate();
    using before = await openWrapper();
    const wrapped = await before.wrap(new Secret(randomBytes(32)), context);
    const both = await Promise.all([admin.rotate(), other.rotate()]);
    const listed = await admin.list();
    assert.deepEqual(
      listed.map(({ state }) => state),
      ['retired', 'retired', 'active'],
    );
    const versions = [first, ...both].map(({ version }) => version);
    assert.deepEqual(new Set(listed.map(({ version }) => version)), new Set(versions));
    using wrapper = await openWrapper();
    assert.partialDeepStrictEqual(await wrapper.wrap(new Secret(randomBytes(32)), context), {
      keyVersion: listed.at(-1)?.version,
    });
    assert.equal((await wrapper.unwrap(wrapped, context))?.sizeBytes, 32);
  });

  it('cannot lose one version; one that is disabled is told of, and opens nothing', async () => {
    using admin = await open('azure-key', 'data');
    const first = await admin.generate();
    using wrapper = await openWrapper();
    const wrapped = await wrapper.wrap(new Secret(randomBytes(32)), context);
    await admin.rotate();
    await assertFails(admin.destroy(first), { kind: 'usage', message: /cannot be destroyed/, hint: /^Disable/ });
    const version = vault.keys.get('data')?.[0];
    if (version !== undefined) version.isEnabled = false;
    await assertFails(wrapper.unwrap(wrapped, context), { kind: 'key', message: /version \w+ .*: it is disabled/ });
    assert.deepEqual(
      (await admin.list()).map(({ state }) => state),
      ['disabled', 'active'],
    );
    using pinned = await open('azure-key', `data@${first.version}`);
    await assertFails(pinned.rotate(), { kind: 'usage', message: /names one version/ });
    assert.deepEqual(await pinned.list(), await admin.list());
  });

  it('says key when more than wrapping is not allowed, and names the role', async () => {
    vault.addKey('data', 'RSA');
    vault.isOfficer = false;
    using admin = await open('azure-key', 'data');
    const denied = { kind: 'key', message: /permission denied/, hint: /Key Vault Crypto Officer/ };
    await assertFails(admin.list(), denied);
    await assertFails(admin.rotate(), denied);
    using fresh = await open('azure-key', 'fresh');
    await assertFails(fresh.generate(), denied);
  });

  it('tells no age where it cannot be asked', async () => {
    using wrapper = await openWrapper('none');
    assert.equal(await wrapper.createdAt?.(), null);
  });
});
