import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import { Secret } from '../../src/core/secret.ts';
import type { KeyAdmin, KeyVersion } from '../../src/keys/key-admin.ts';
import { openKeyAdmin } from '../../src/keys/open-key-admin.ts';
import { openKeyWrapper } from '../../src/keys/open-key-wrapper.ts';
import { readKeyEncryptionKey } from '../../src/keys/read-key-encryption-key.ts';
import { isSecret, parseKeyReference } from '../../src/keys/secret-reference.ts';
import { newDataKey, someBackup } from '../contract/key-wrapper-contract.ts';
import { administer, makeToken, mount, vaultEnvironment } from '../support/vault-server.ts';

const versioned = await mount('kv-v2');
const plain = await mount('kv');
const transit = await mount('transit');

async function open(reference: string, variables = {}): Promise<KeyAdmin> {
  return await openKeyAdmin(parseKeyReference(reference), { env: vaultEnvironment(variables) });
}

async function keyIdOf(reference: string): Promise<string> {
  const { secret, keyId } = await readKeyEncryptionKey(reference, { env: vaultEnvironment() });
  secret[Symbol.dispose]();
  return keyId;
}

async function dataOf(path: string): Promise<Record<string, unknown>> {
  const { data } = await administer(['GET', `${versioned}/data/${path}`]);
  return data as Record<string, unknown>;
}

function statesOf(versions: readonly KeyVersion[]): string[] {
  return versions.map(({ version, state }) => `${version ?? ''} ${state}`);
}

function assertRecent(version: KeyVersion): void {
  assert.ok(Math.abs(Date.now() - (version.createdAt?.getTime() ?? 0)) < 3_600_000);
}

describe('a key in a KV engine of version 2', () => {
  it('is made, rotated and listed, and every version opens what it wrapped', async () => {
    const reference = `vault:${versioned}/${randomUUID()}#key`;
    using admin = await open(reference);
    await assert.rejects(admin.list(), { kind: 'key', message: /there is no key/ });
    const first = await admin.generate();
    assert.deepEqual([first.version, first.state, first.keyId], ['1', 'active', await keyIdOf(reference)]);
    assertRecent(first);
    await assert.rejects(admin.generate(), { kind: 'conflict', message: /there is a key in vault:/ });
    const second = await admin.rotate();
    assert.equal(second.version, '2');
    assert.notEqual(second.keyId, first.keyId);
    assert.equal(await keyIdOf(reference), second.keyId);
    assert.equal(await keyIdOf(`${reference}@1`), first.keyId);
    const listed = await admin.list();
    assert.deepEqual(statesOf(listed), ['1 retired', '2 active']);
    assert.deepEqual(
      listed.map(({ keyId }) => keyId),
      [first.keyId, second.keyId],
    );
    listed.forEach(assertRecent);
  });

  it('is destroyed by version, and the version says so', async () => {
    const reference = `vault:${versioned}/${randomUUID()}#key`;
    using admin = await open(reference);
    const first = await admin.generate();
    await assert.rejects(admin.destroy({ ...first, version: '7' }), { kind: 'key', message: /has no version 7/ });
    const second = await admin.rotate();
    await assert.rejects(admin.destroy(second), { kind: 'conflict', message: /version 2 of .* is the active one/ });
    await admin.destroy(first);
    assert.deepEqual(statesOf(await admin.list()), ['1 destroyed', '2 active']);
    await assert.rejects(keyIdOf(`${reference}@1`), { kind: 'key', message: /version 1 is destroyed/ });
    assert.equal(await keyIdOf(reference), second.keyId);
  });

  it('leaves its neighbours as they are, and what is older with them whole', async () => {
    const path = randomUUID();
    await administer(['POST', `${versioned}/data/${path}`], { data: { password: 'kept', port: 5432 } });
    using admin = await open(`vault:${versioned}/${path}#key`);
    await admin.generate();
    const second = await admin.rotate();
    const { key, ...others } = await dataOf(path);
    assert.deepEqual(others, { password: 'kept', port: 5432 });
    assert.equal(Buffer.from(String(key), 'base64').byteLength, 32);
    const [first] = await admin.list();
    assert.deepEqual([first?.version, second.version], ['2', '3']);
    assert.ok(first !== undefined);
    await assert.rejects(admin.destroy(first), { kind: 'usage', message: /may hold more than this key/ });
    assert.deepEqual(statesOf(await admin.list()), ['2 retired', '3 active']);
  });

  it('needs no field where it is alone', async () => {
    const path = randomUUID();
    using admin = await open(`vault:${versioned}/${path}`);
    const made = await admin.generate();
    assert.equal(await keyIdOf(`vault:${versioned}/${path}`), made.keyId);
    const { keyId } = await admin.rotate();
    assert.equal(await keyIdOf(`vault:${versioned}/${path}#key`), keyId);
  });

  it('is not lost when two rotate at once: one of them fails, or both versions are kept', async () => {
    const reference = `vault:${versioned}/${randomUUID()}#key`;
    using admin = await open(reference);
    using other = await open(reference);
    await admin.generate();
    const outcomes = await Promise.allSettled([admin.rotate(), other.rotate()]);
    const made = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value.keyId] : []));
    for (const outcome of outcomes) if (outcome.status === 'rejected') assert.equal(outcome.reason.kind, 'conflict');
    assert.ok(made.length > 0);
    const ids = (await admin.list()).map(({ keyId }) => keyId);
    assert.equal(ids.length, made.length + 1);
    for (const keyId of made) assert.ok(ids.includes(keyId));
  });

  it('is refused by check-and-set when it was changed since it was read', async () => {
    const path = randomUUID();
    const reference = `vault:${versioned}/${path}#key`;
    using first = await open(reference);
    using second = await open(reference);
    // Both see nothing there.
    const outcomes = await Promise.allSettled([first.generate(), second.generate()]);
    const failures = outcomes.filter((outcome) => outcome.status === 'rejected');
    assert.deepEqual(
      failures.map(({ reason }) => (reason as { kind: string }).kind),
      ['conflict'],
    );
    assert.equal((await first.list()).length, 1);
  });

  it('is not replaced where something else is', async () => {
    const path = randomUUID();
    await administer(['POST', `${versioned}/data/${path}`], { data: { password: 'hunter2' } });
    using admin = await open(`vault:${versioned}/${path}#password`);
    await assert.rejects(admin.rotate(), { kind: 'key' });
    assert.deepEqual(await dataOf(path), { password: 'hunter2' });
  });

  it('needs the rights that the documentation lists, and says which are missing', async () => {
    const path = randomUUID();
    const reference = `vault:${versioned}/${path}#key`;
    const data = `${versioned}/data/${path}`;
    const writing = await makeToken({ [data]: ['read', 'create', 'update'] });
    using writer = await open(reference, { VAULT_TOKEN: writing });
    await writer.generate();
    await writer.rotate();
    await assert.rejects(writer.list(), { kind: 'key', message: /permission denied on ".*metadata/ });
    const reading = await makeToken({ [data]: ['read'], [`${versioned}/metadata/${path}`]: ['read'] });
    using reader = await open(reference, { VAULT_TOKEN: reading });
    const versions = await reader.list();
    assert.equal(versions.length, 2);
    await assert.rejects(reader.rotate(), { kind: 'key', message: /permission denied on ".*data/ });
    const [oldest] = versions;
    assert.ok(oldest !== undefined);
    await assert.rejects(reader.destroy(oldest), { kind: 'key', message: /permission denied on ".*destroy/ });
    const destroying = await makeToken({
      [data]: ['read'],
      [`${versioned}/metadata/${path}`]: ['read'],
      [`${versioned}/destroy/${path}`]: ['update'],
    });
    using destroyer = await open(reference, { VAULT_TOKEN: destroying });
    await destroyer.destroy(oldest);
  });
});

describe('a key in a KV engine of version 1', () => {
  it('can be listed, and is not changed', async () => {
    const path = randomUUID();
    await administer(['POST', `${plain}/${path}`], { key: randomBytes(32).toString('base64') });
    using admin = await open(`vault:${plain}/${path}#key`);
    const [key, ...more] = await admin.list();
    assert.deepEqual([key?.state, key?.version, more.length], ['active', undefined, 0]);
    await assert.rejects(admin.rotate(), { kind: 'usage', hint: /enable-versioning/ });
  });
});

describe('a key of the transit engine', () => {
  async function makeWrapper(reference: string) {
    const parsed = parseKeyReference(reference);
    assert.ok(!isSecret(parsed));
    return await openKeyWrapper(parsed, { env: vaultEnvironment() });
  }

  it('is made, rotated, listed and trimmed, and opens what its versions wrapped while they last', async () => {
    const reference = `vault-transit:${transit}/${randomUUID()}`;
    using admin = await open(reference);
    await assert.rejects(admin.list(), { kind: 'key', message: /there is no such key/ });
    await assert.rejects(admin.rotate(), { kind: 'key', message: /there is no such key/ });
    const first = await admin.generate();
    assert.deepEqual([first.version, first.state], ['1', 'active']);
    assertRecent(first);
    await assert.rejects(admin.generate(), { kind: 'conflict' });

    using wrapper = await makeWrapper(reference);
    assertRecent({ ...first, createdAt: (await wrapper.createdAt?.()) ?? null });
    using dataKey = newDataKey();
    const wrapped = await wrapper.wrap(dataKey, someBackup);
    assert.equal(wrapped.provider === 'vault-transit' ? wrapped.keyId : '', first.keyId);
    assert.equal((await admin.rotate()).version, '2');
    assert.equal((await admin.rotate()).version, '3');
    assert.deepEqual(statesOf(await admin.list()), ['1 retired', '2 retired', '3 active']);
    using opened = await wrapper.unwrap(wrapped, someBackup);
    assert.deepEqual(opened?.reveal(), dataKey.reveal());

    const [, second, third] = await admin.list();
    assert.ok(second !== undefined && third !== undefined);
    await assert.rejects(admin.destroy(second), { kind: 'usage', hint: /Destroy 1 first/ });
    await assert.rejects(admin.destroy(third), { kind: 'conflict' });
    await admin.destroy(first);
    assert.deepEqual(statesOf(await admin.list()), ['2 retired', '3 active']);
    await assert.rejects(wrapper.unwrap(wrapped, someBackup), { kind: 'key', message: /version 1/ });
    await admin.destroy(second);
    await assert.rejects(admin.destroy(third), { kind: 'usage', message: /is all that/ });
  });

  it('tells disabled versions, and one that nobody may look at', async () => {
    const name = randomUUID();
    const reference = `vault-transit:${transit}/${name}`;
    using admin = await open(reference);
    await admin.generate();
    await admin.rotate();
    await administer(['POST', `${transit}/keys/${name}/config`], { min_decryption_version: 2 });
    assert.deepEqual(statesOf(await admin.list()), ['1 disabled', '2 active']);
    using blind = await open(reference, {
      VAULT_TOKEN: await makeToken({ [`${transit}/encrypt/${name}`]: ['update'] }),
    });
    await assert.rejects(blind.list(), { kind: 'key', message: /permission denied/ });
    await assert.rejects(blind.rotate(), { kind: 'key', message: /permission denied/ });
  });
});

describe('what leaves a version', () => {
  it('is no secret in an error', async () => {
    const path = randomUUID();
    const value = Secret.fromText('not-a-key-but-a-password').revealText();
    await administer(['POST', `${versioned}/data/${path}`], { data: { key: value } });
    using admin = await open(`vault:${versioned}/${path}#key`);
    await assert.rejects(admin.rotate(), (error: Error) => !`${error.message}${error.stack ?? ''}`.includes(value));
  });
});
