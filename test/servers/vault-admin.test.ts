import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import type { KeyAdmin } from '../../src/keys/key-admin.ts';
import { openKeyAdmin } from '../../src/keys/open-key-admin.ts';
import { openKeyWrapper } from '../../src/keys/open-key-wrapper.ts';
import { readKeyEncryptionKey } from '../../src/keys/read-key-encryption-key.ts';
import { readSecret, type Environment } from '../../src/keys/read-secret.ts';
import { isSecret, parseKeyReference, parseSecretReference } from '../../src/keys/secret-reference.ts';
import { testKeyAdmin } from '../contract/key-admin-contract.ts';
import { FaultProxy, refusal } from '../support/fault-proxy.ts';
import { administer, makeToken, mount, server, vaultEnvironment } from '../support/vault-server.ts';
import { waitUntil } from '../support/wait-until.ts';

const kv = await mount('kv-v2');
const transit = await mount('transit');

async function open(text: string, variables: Environment = {}): Promise<KeyAdmin> {
  return await openKeyAdmin(parseKeyReference(text), { env: vaultEnvironment(variables) });
}

async function textOf(text: string): Promise<string> {
  return (await readSecret(parseSecretReference(text), { env: vaultEnvironment() })).secret.revealText();
}

async function put(path: string, data: unknown): Promise<void> {
  await administer(['POST', `${kv}/data/${path}`], { data });
}

testKeyAdmin('a field of a Vault secret', {
  env: vaultEnvironment,
  newReference: async () => await Promise.resolve(`vault:${kv}/team/${randomUUID()}#key`),
  destroys: 'a version',
  hasVersions: true,
  remembersDates: true,
});

testKeyAdmin('a Vault secret of one field', {
  env: vaultEnvironment,
  newReference: async () => await Promise.resolve(`vault:${kv}/${randomUUID()}`),
  destroys: 'a version',
  hasVersions: true,
  remembersDates: true,
});

testKeyAdmin('Vault transit', {
  env: vaultEnvironment,
  newReference: async () => await Promise.resolve(`vault-transit:${transit}/${randomUUID()}`),
  destroys: 'a version',
  hasVersions: true,
  remembersDates: true,
});

describe('a key in a Vault secret', () => {
  it('has neighbours, which stay, in a secret that is there already', async () => {
    await put('shared', { user: 'x', more: { deep: [1, null] } });
    using admin = await open(`vault:${kv}/shared#key`);
    await assert.rejects(admin.rotate(), { kind: 'key', message: /has no field "key"/ });
    const made = await admin.generate();
    await admin.rotate();
    const fields: unknown = JSON.parse(JSON.stringify((await administer(['GET', `${kv}/data/shared`]))['data']));
    assert.partialDeepStrictEqual(fields, { user: 'x', more: { deep: [1, null] } });
    await assert.rejects(admin.destroy(made), { kind: 'usage', message: /may hold more than this key$/ });
    assert.equal((await admin.list()).length, 2);
  });

  it('takes the only field there is when the reference names none, whatever its name', async () => {
    await put('lone', { material: Buffer.alloc(32, 7).toString('base64') });
    using admin = await open(`vault:${kv}/lone`);
    await admin.rotate();
    assert.equal(await textOf(`vault:${kv}/lone`), await textOf(`vault:${kv}/lone#material`));
    await put('two', { a: '1', b: '2' });
    using two = await open(`vault:${kv}/two`);
    await assert.rejects(two.rotate(), { kind: 'key', message: /has 2 fields/ });
  });

  it('does not take the place of a password, nor round the number beside it', async () => {
    await put('password', { password: 'hunter2', big: 1 });
    using password = await open(`vault:${kv}/password#password`);
    await assert.rejects(password.rotate(), { kind: 'key', message: /an AES-256 key is 32 bytes/ });
    await administer(['POST', `${kv}/data/big`], { data: { big: 2 ** 60 } });
    using beside = await open(`vault:${kv}/big#key`);
    await assert.rejects(beside.generate(), { kind: 'usage', message: /a number that would be rounded$/ });
    assert.equal(await textOf(`vault:${kv}/password#password`), 'hunter2');
  });

  it('is not rotated when Vault would then forget a version', async () => {
    using admin = await open(`vault:${kv}/few#key`);
    const first = await admin.generate();
    await administer(['POST', `${kv}/metadata/few`], { max_versions: 2 });
    await admin.rotate();
    await assert.rejects(admin.rotate(), {
      kind: 'config',
      message: /Vault keeps 2 and would lose version 1$/,
      hint: /max_versions/,
    });
    await admin.destroy(first);
    await admin.rotate();
  });

  it('keeps ten versions when nobody has said how many', async () => {
    using admin = await open(`vault:${kv}/ten#key`);
    await admin.generate();
    for (let count = 1; count < 10; count += 1) await admin.rotate();
    await assert.rejects(admin.rotate(), { kind: 'config', message: /Vault keeps 10 and would lose version 1$/ });
    assert.equal((await admin.list()).length, 10);
  });

  it('is disabled in a version that was deleted, and is not made over one', async () => {
    using admin = await open(`vault:${kv}/deleted#key`);
    await admin.generate();
    await admin.rotate();
    await administer(['POST', `${kv}/delete/deleted`], { versions: [2] });
    assert.deepEqual(
      (await admin.list()).map(({ state, keyId }) => [state, keyId === null]),
      [
        ['retired', false],
        ['disabled', true],
      ],
    );
    await assert.rejects(admin.generate(), { kind: 'conflict', hint: /^Undelete/ });
    await assert.rejects(admin.rotate(), { kind: 'key' });
  });

  it('is listed as it is in an engine without versions, where it cannot be changed', async () => {
    const plain = await mount('kv');
    const key = Buffer.alloc(32, 3);
    await administer(['POST', `${plain}/a`], { key: key.toString('base64'), other: 'x' });
    const text = `vault:${plain}/a#key`;
    using admin = await open(text);
    const { keyId, secret } = await readKeyEncryptionKey(text, { env: vaultEnvironment() });
    secret[Symbol.dispose]();
    assert.deepEqual(await admin.list(), [{ keyId, createdAt: null, state: 'active' }]);
    for (const change of [async () => await admin.generate(), async () => await admin.rotate()]) {
      await assert.rejects(change(), { kind: 'usage', message: /version 1, which keeps no versions$/, hint: /vault/ });
    }
    assert.equal(await textOf(text), key.toString('base64'));
    using none = await open(`vault:${plain}/none#key`);
    await assert.rejects(none.list(), { kind: 'key', message: /there is no such secret/ });
  });

  it('says which right is missing', async () => {
    const path = `${kv}/data/rights`;
    using owner = await open(`vault:${kv}/rights#key`);
    const made = await owner.generate();
    await owner.rotate();
    const reader = await makeToken({ [path]: ['read'] });
    using admin = await open(`vault:${kv}/rights#key`, { VAULT_TOKEN: reader });
    const denied = (where: string) => ({
      kind: 'key',
      message: new RegExp(`permission denied on "${kv}/${where}/rights"`),
    });
    await assert.rejects(admin.list(), denied('metadata'));
    const lister = await makeToken({
      [path]: ['read'],
      [`${kv}/metadata/rights`]: ['read'],
      [`${kv}/config`]: ['read'],
    });
    using other = await open(`vault:${kv}/rights#key`, { VAULT_TOKEN: lister });
    assert.equal((await other.list()).length, 2);
    await assert.rejects(other.rotate(), denied('data'));
    await assert.rejects(other.destroy(made), denied('destroy'));
    const full = await makeToken({
      [path]: ['read', 'update'],
      [`${kv}/metadata/rights`]: ['read'],
      [`${kv}/config`]: ['read'],
      [`${kv}/destroy/rights`]: ['update'],
    });
    using all = await open(`vault:${kv}/rights#key`, { VAULT_TOKEN: full });
    await all.rotate();
    await all.destroy(made);
  });

  it('needs create and read to be made', async () => {
    const token = await makeToken({ [`${kv}/data/fresh`]: ['create', 'read'] });
    using admin = await open(`vault:${kv}/fresh#key`, { VAULT_TOKEN: token });
    await admin.generate();
    await assert.rejects(admin.generate(), { kind: 'conflict' });
  });

  it('is made and rotated once, though the answer was lost', async () => {
    await using proxy = await FaultProxy.start(Number(new URL(server.address).port));
    const text = `vault:${kv}/lost#key`;
    using admin = await open(text, { VAULT_ADDR: proxy.endpoint });
    for (const change of [async () => await admin.generate(), async () => await admin.rotate()]) {
      proxy.inject(/^POST .*data\/lost/, { kind: 'reset', direction: 'down', afterBytes: 0 });
      const made = await change();
      const listed = await admin.list();
      assert.deepEqual(listed.at(-1), made);
    }
    assert.equal(proxy.happenedFaults, 2);
    assert.equal((await admin.list()).length, 2);
  });

  it('is not rotated over what somebody else has written meanwhile', async () => {
    await using proxy = await FaultProxy.start(Number(new URL(server.address).port));
    using owner = await open(`vault:${kv}/raced#key`);
    const { keyId } = await owner.generate();
    const key = await textOf(`vault:${kv}/raced#key`);
    using admin = await open(`vault:${kv}/raced#key`, { VAULT_ADDR: proxy.endpoint });
    // The second try of the write comes after what is written here.
    proxy.inject(/^POST .*data\/raced/, refusal('503 Service Unavailable', { 'Retry-After': '1' }));
    const rotation = assert.rejects(admin.rotate(), { kind: 'conflict', message: /it was changed already$/ });
    await waitUntil(() => proxy.happenedFaults === 1, 'the write is put off');
    await put('raced', { key, user: 'new' });
    await rotation;
    assert.equal(await textOf(`vault:${kv}/raced#user`), 'new');
    assert.deepEqual(new Set((await owner.list()).map((version) => version.keyId)), new Set([keyId]));
  });

  it('says when it was made to whoever reads it', async () => {
    using admin = await open(`vault:${kv}/age#key`);
    const { createdAt } = await admin.generate();
    const read = await readSecret(parseSecretReference(`vault:${kv}/age#key`), { env: vaultEnvironment() });
    assert.deepEqual(read.createdAt, createdAt);
  });
});

describe('a key of Vault transit', () => {
  async function ageOf(text: string, variables: Environment = {}): Promise<Date | null | undefined> {
    const reference = parseKeyReference(text);
    assert.ok(!isSecret(reference));
    using wrapper = await openKeyWrapper(reference, { env: vaultEnvironment(variables) });
    return await wrapper.createdAt?.();
  }

  it('loses its versions from the oldest on, and never the last', async () => {
    const text = `vault-transit:${transit}/trimmed`;
    using admin = await open(text);
    const first = await admin.generate();
    const second = await admin.rotate();
    const third = await admin.rotate();
    await assert.rejects(admin.destroy(second), { kind: 'usage', message: /would destroy the older ones: 1$/ });
    await admin.destroy(first);
    await assert.rejects(admin.destroy(first), { kind: 'key', message: /is destroyed already$/ });
    await admin.destroy(second);
    await assert.rejects(admin.destroy(third), { kind: 'usage', message: /all that is left/ });
    assert.deepEqual(
      (await admin.list()).map(({ state }) => state),
      ['destroyed', 'destroyed', 'active'],
    );
  });

  it('is rotated once, though the answer was lost, and again where it was not rotated', async () => {
    await using proxy = await FaultProxy.start(Number(new URL(server.address).port));
    using admin = await open(`vault-transit:${transit}/lost`, { VAULT_ADDR: proxy.endpoint });
    await admin.generate();
    const faults = [{ kind: 'reset', direction: 'down', afterBytes: 0 }, refusal('503 Service Unavailable')] as const;
    for (const [index, fault] of faults.entries()) {
      proxy.inject(/^POST .*\/rotate /, fault);
      const made = await admin.rotate();
      assert.equal(made.version, String(index + 2));
      assert.deepEqual((await admin.list()).at(-1), made);
    }
    assert.equal(proxy.happenedFaults, 2);
  });

  it('is disabled in versions that may not decrypt', async () => {
    using admin = await open(`vault-transit:${transit}/raised`);
    await admin.generate();
    await admin.rotate();
    await administer(['POST', `${transit}/keys/raised/config`], { min_decryption_version: 2 });
    assert.deepEqual(
      (await admin.list()).map(({ state }) => state),
      ['disabled', 'active'],
    );
  });

  it('is as old as the version that wraps, where the token may ask', async () => {
    const text = `vault-transit:${transit}/age`;
    assert.equal(await ageOf(text), null);
    using admin = await open(text);
    const { createdAt } = await admin.generate();
    assert.deepEqual(await ageOf(text), createdAt);
    assert.equal(await ageOf(text, { VAULT_TOKEN: await makeToken({ [`${transit}/decrypt/age`]: ['update'] }) }), null);
  });

  it('is left alone when it is of another type', async () => {
    await administer(['POST', `${transit}/keys/signing`], { type: 'ed25519' });
    using admin = await open(`vault-transit:${transit}/signing`);
    for (const call of [
      async () => await admin.generate(),
      async () => await admin.rotate(),
      async () => await admin.list(),
    ]) {
      await assert.rejects(call(), { kind: 'config', message: /it is a key of type ed25519$/ });
    }
  });

  it('says which right is missing', async () => {
    const text = `vault-transit:${transit}/rights`;
    using owner = await open(text);
    const made = await owner.generate();
    await owner.rotate();
    const maker = await makeToken({ [`${transit}/keys/made`]: ['read', 'create', 'update'] });
    using making = await open(`vault-transit:${transit}/made`, { VAULT_TOKEN: maker });
    await making.generate();
    const token = await makeToken({ [`${transit}/keys/rights`]: ['read'] });
    using admin = await open(text, { VAULT_TOKEN: token });
    assert.equal((await admin.list()).length, 2);
    const denied = (what: string) => ({
      kind: 'key',
      message: new RegExp(`permission denied on "${transit}/keys/rights/${what}"`),
    });
    await assert.rejects(admin.rotate(), denied('rotate'));
    await assert.rejects(admin.destroy(made), denied('config'));
    assert.equal((await owner.list())[0]?.state, 'retired');
  });
});
