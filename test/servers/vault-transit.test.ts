import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import type { KeyWrapper } from '../../src/core/key-wrapper.ts';
import type { WrappedKey } from '../../src/core/wrapped-key.ts';
import { openKeyWrapper } from '../../src/keys/open-key-wrapper.ts';
import type { Environment } from '../../src/keys/read-secret.ts';
import { isSecret, parseKeyReference } from '../../src/keys/secret-reference.ts';
import {
  assertFails,
  newDataKey,
  someBackup,
  testKeyWrapper,
  withFlippedBit,
} from '../contract/key-wrapper-contract.ts';
import { FaultProxy, refusal } from '../support/fault-proxy.ts';
import { administer, makeToken, mount, server, vaultEnvironment } from '../support/vault-server.ts';

const engine = await mount('transit');

type TransitKey = Extract<WrappedKey, { provider: 'vault-transit' }>;

async function makeKey(parameters: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const name = `key-${randomUUID()}`;
  await administer(['POST', `${engine}/keys/${name}`], parameters);
  return name;
}

async function rotate(key: string): Promise<void> {
  await administer(['POST', `${engine}/keys/${key}/rotate`]);
}

async function configure(key: string, settings: Readonly<Record<string, unknown>>): Promise<void> {
  await administer(['POST', `${engine}/keys/${key}/config`], settings);
}

async function open(key: string, variables: Environment = {}, signal?: AbortSignal): Promise<KeyWrapper> {
  const reference = parseKeyReference(`vault-transit:${key.includes('/') ? key : `${engine}/${key}`}`);
  assert.ok(!isSecret(reference));
  return await openKeyWrapper(reference, {
    env: vaultEnvironment(variables),
    ...(signal !== undefined && { signal }),
  });
}

function toTransit(wrapped: WrappedKey): TransitKey {
  assert.ok(wrapped.provider === 'vault-transit');
  return wrapped;
}

/** The ciphertext says it is of this version, as does the manifest. */
function ofVersion(wrapped: WrappedKey, keyVersion: string): WrappedKey {
  const text = Buffer.from(wrapped.wrapped, 'base64')
    .toString()
    .replace(/^vault:v\d+:/, `vault:v${keyVersion}:`);
  return { ...toTransit(wrapped), keyVersion, wrapped: Buffer.from(text).toString('base64') };
}

async function wrapSome(wrapper: KeyWrapper): Promise<TransitKey> {
  using dataKey = newDataKey();
  return toTransit(await wrapper.wrap(dataKey, someBackup));
}

for (const derived of [false, true]) {
  const key = await makeKey({ derived });
  const other = await makeKey({ derived });
  testKeyWrapper(`Vault transit, key ${derived ? 'derived' : 'not derived'}`, {
    provider: 'vault-transit',
    open: async (signal) => await open(key, {}, signal),
    openOther: async () => await open(other),
    openMissing: async () => await open('missing'),
    bindsContext: true,
    rotate: async () => await rotate(key),
    withMissingVersion: (wrapped) => ofVersion(wrapped, '99'),
    disable: async (version) => await configure(key, { min_decryption_version: Number(version) + 1 }),
  });
}

describe('a key of the transit engine', () => {
  it('is named in full, with namespace, mount, key and version', async () => {
    const namespace = `team-${randomUUID()}`;
    await administer(['POST', `sys/namespaces/${namespace}`], {});
    const path = await mount('transit', { namespace });
    await administer(['POST', `${path}/keys/backup`], {}, { namespace });
    using inside = await open(`${path}/backup`, { VAULT_NAMESPACE: namespace });
    using outside = await open(`${namespace}/${path}/backup`);
    using dataKey = newDataKey();
    const wrapped = toTransit(await inside.wrap(dataKey, someBackup));
    assert.equal(wrapped.keyId, `${namespace}/${path}/backup`);
    assert.equal(wrapped.keyVersion, '1');
    const unwrapped = await outside.unwrap(wrapped, someBackup);
    assert.deepEqual(unwrapped?.reveal(), Buffer.from(dataKey.reveal()));
  });

  it('wraps with the version that the reference names', async () => {
    const key = await makeKey();
    await rotate(key);
    using old = await open(`${engine}/${key}@1`);
    assert.equal((await wrapSome(old)).keyVersion, '1');
    using none = await open(`${engine}/${key}@7`);
    using dataKey = newDataKey();
    await assertFails(none.wrap(dataKey, someBackup), 'key', {
      name: `${key}@7: the key has no such version`,
      dataKey,
    });
    await assert.rejects(open(`${engine}/${key}@new`), { kind: 'config', message: /version that is not a number/ });
  });

  it('fails with key when its version is disabled, and works again when it is enabled', async () => {
    const key = await makeKey();
    using wrapper = await open(key);
    const wrapped = await wrapSome(wrapper);
    await rotate(key);
    await configure(key, { min_decryption_version: 2, min_encryption_version: 2 });
    const disabled = {
      kind: 'key',
      message: /unwrap a data key of version 1 with vault-transit:.*: version 1 of the key is disabled/,
    };
    await assert.rejects(wrapper.unwrap(wrapped, someBackup), disabled);
    using old = await open(`${key}@1`.replace(/^/, `${engine}/`));
    await assert.rejects(wrapSome(old), { kind: 'key', message: /version 1 of the key is disabled/ });
    await configure(key, { min_decryption_version: 1 });
    assert.ok((await wrapper.unwrap(wrapped, someBackup)) !== null);
  });

  it('fails with key when its version was trimmed or the whole key deleted', async () => {
    const key = await makeKey();
    using wrapper = await open(key);
    const wrapped = await wrapSome(wrapper);
    await rotate(key);
    await configure(key, { min_decryption_version: 2, min_encryption_version: 2, deletion_allowed: true });
    await administer(['POST', `${engine}/keys/${key}/trim`], { min_available_version: 2 });
    await assert.rejects(wrapper.unwrap(wrapped, someBackup), {
      kind: 'key',
      message: /version 1 of the key is disabled/,
    });
    await administer(['DELETE', `${engine}/keys/${key}`]);
    await assert.rejects(wrapper.unwrap(wrapped, someBackup), { kind: 'key', message: /there is no such key/ });
  });

  it('fails with integrity when the version in the manifest is not that of the wrapped key', async () => {
    const key = await makeKey();
    await rotate(key);
    using wrapper = await open(key);
    const wrapped = await wrapSome(wrapper);
    const { keyVersion: _, ...unversioned } = wrapped;
    const changed = { kind: 'integrity', message: /the wrapped data key was changed/ };
    await assert.rejects(wrapper.unwrap({ ...wrapped, keyVersion: '1' }, someBackup), changed);
    await assert.rejects(wrapper.unwrap(unversioned, someBackup), changed);
    await assert.rejects(wrapper.unwrap(ofVersion(wrapped, '1'), someBackup), { kind: 'integrity' });
  });

  it('fails with integrity when another key has wrapped it, or something that is no data key', async () => {
    const [one, two] = [await makeKey(), await makeKey()];
    using first = await open(one);
    using second = await open(two);
    const wrapped = await wrapSome(first);
    await assert.rejects(second.unwrap({ ...wrapped, keyId: `${engine}/${two}` }, someBackup), { kind: 'integrity' });
    const binding = Buffer.from('{"backup-id":"a","backup-label":"b"}').toString('base64');
    const { ciphertext } = await administer(['POST', `${engine}/encrypt/${one}`], {
      plaintext: Buffer.from('too short').toString('base64'),
      associated_data: binding,
    });
    const short = { ...wrapped, wrapped: Buffer.from(String(ciphertext)).toString('base64') };
    const pending = first.unwrap(short, { backupId: 'a', label: 'b' });
    await assert.rejects(pending, { kind: 'integrity', message: /what it holds is not a data key/ });
  });

  it('is not created by a mistyped name, and must be of the right type', async () => {
    using mistyped = await open('mistyped');
    await assert.rejects(wrapSome(mistyped), { kind: 'key', message: /there is no such key/ });
    await assert.rejects(administer(['GET', `${engine}/keys/mistyped`]), /HTTP 404/);
    using rsa = await open(await makeKey({ type: 'rsa-2048' }));
    await assert.rejects(wrapSome(rsa), { kind: 'config', message: /it is a key of type rsa-2048/ });
    using nowhere = await open('no-such-mount/key');
    await assert.rejects(wrapSome(nowhere), { kind: 'key', message: /no such/ });
  });

  it('wraps and unwraps with no more rights than these', async () => {
    const key = await makeKey();
    const forWrapping = { [`${engine}/keys/${key}`]: ['read'], [`${engine}/encrypt/${key}`]: ['update'] };
    const forUnwrapping = { [`${engine}/decrypt/${key}`]: ['update'] };
    using wrapping = await open(key, { VAULT_TOKEN: await makeToken(forWrapping) });
    using unwrapping = await open(key, { VAULT_TOKEN: await makeToken(forUnwrapping) });
    const wrapped = await wrapSome(wrapping);
    assert.ok((await unwrapping.unwrap(wrapped, someBackup)) !== null);
    await assert.rejects(wrapping.unwrap(wrapped, someBackup), { kind: 'key', message: /permission denied/ });
    await assert.rejects(wrapSome(unwrapping), { kind: 'key', message: /permission denied on "\S+\/keys\/key-/ });
  });
});

describe('calls to the transit engine', () => {
  it('are repeated when they are throttled, refused for a while, cut off, or their answer is lost', async () => {
    await using proxy = await FaultProxy.start(Number(new URL(server.address).port));
    using wrapper = await open(await makeKey(), { VAULT_ADDR: proxy.endpoint });
    proxy.inject(/POST .*\/encrypt\//, refusal('429 Too Many Requests', { 'Retry-After': '0' }));
    proxy.inject(/POST .*\/encrypt\//, refusal('503 Service Unavailable'));
    proxy.inject(/POST .*\/encrypt\//, { kind: 'reset', direction: 'down', afterBytes: 0 });
    proxy.inject(/POST .*\/decrypt\//, { kind: 'reset', direction: 'up', afterBytes: 20 });
    proxy.inject(/POST .*\/decrypt\//, { kind: 'reset', direction: 'down', afterBytes: 60 });
    const wrapped = await wrapSome(wrapper);
    assert.ok((await wrapper.unwrap(wrapped, someBackup)) !== null);
    assert.equal(proxy.happenedFaults, 5);
    assert.equal(proxy.requests.filter((line) => line.includes('/encrypt/')).length, 4);
    assert.equal(proxy.requests.filter((line) => line.includes('/decrypt/')).length, 3);
  });

  it('fail with key when it goes on like that', async () => {
    await using proxy = await FaultProxy.start(Number(new URL(server.address).port));
    using wrapper = await open(await makeKey(), { VAULT_ADDR: proxy.endpoint });
    const wrapped = await wrapSome(wrapper);
    const faults = [
      [refusal('429 Too Many Requests'), /Vault is overloaded, or a quota/],
      [refusal('502 Bad Gateway'), /Vault has failed \(HTTP 502\)/],
      [{ kind: 'reset', direction: 'down', afterBytes: 0 }, /cannot reach Vault/],
    ] as const;
    for (const [fault, message] of faults) {
      proxy.inject(/decrypt/, fault, 6);
      await assert.rejects(wrapper.unwrap(wrapped, someBackup), { kind: 'key', message });
    }
    assert.equal(proxy.pendingFaults, 0);
    proxy.inject(/decrypt/, refusal('307 Temporary Redirect', { Location: 'http://127.0.0.1:1/' }));
    await assert.rejects(wrapper.unwrap(wrapped, someBackup), {
      kind: 'config',
      message: /redirects to another server/,
    });
    assert.ok((await wrapper.unwrap(wrapped, someBackup)) !== null);
  });

  it('do not wait for ever for an answer, and end at once when they are aborted', async () => {
    await using proxy = await FaultProxy.start(Number(new URL(server.address).port));
    const key = await makeKey();
    using wrapper = await open(key, { VAULT_ADDR: proxy.endpoint, VAULT_CLIENT_TIMEOUT: '250ms' });
    const wrapped = await wrapSome(wrapper);
    proxy.inject(/decrypt/, { kind: 'stall', direction: 'down', afterBytes: 0 });
    assert.ok((await wrapper.unwrap(wrapped, someBackup)) !== null);
    proxy.inject(/decrypt/, { kind: 'stall', direction: 'down', afterBytes: 40 });
    assert.ok((await wrapper.unwrap(wrapped, someBackup)) !== null);
    assert.equal(proxy.happenedFaults, 2);

    const controller = new AbortController();
    using patient = await open(key, { VAULT_ADDR: proxy.endpoint }, controller.signal);
    assert.ok((await patient.unwrap(wrapped, someBackup)) !== null);
    proxy.inject(/decrypt/, { kind: 'stall', direction: 'down', afterBytes: 0 });
    const pending = patient.unwrap(wrapped, someBackup);
    const abort = setInterval(() => proxy.happenedFaults === 3 && controller.abort(new Error('enough')), 10);
    await assert.rejects(pending, { message: 'enough' });
    clearInterval(abort);
  });

  it('heed the quota of the server', async () => {
    const quota = `sys/quotas/rate-limit/${randomUUID()}`;
    const path = await mount('transit');
    await administer(['POST', `${path}/keys/backup`], {});
    await administer(['POST', 'sys/quotas/config'], { enable_rate_limit_response_headers: true });
    await administer(['POST', quota], { path: `${path}/`, rate: 2, interval: '1s' });
    using wrapper = await open(`${path}/backup`);
    const wrapped = await Promise.all(Array.from({ length: 3 }, async () => await wrapSome(wrapper)));
    assert.equal(new Set(wrapped.map(({ wrapped }) => wrapped)).size, 3);
    await administer(['DELETE', quota]);
  });

  it('never give a wrapped key that does not come from Vault', async () => {
    await using proxy = await FaultProxy.start(Number(new URL(server.address).port));
    using wrapper = await open(await makeKey(), { VAULT_ADDR: proxy.endpoint });
    const answer = (body: string) =>
      ({
        kind: 'answer',
        text: `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
      }) as const;
    const cases = [
      ['<html>Please log in</html>', 'config', /what answers is not Vault/],
      ['{"data":{}}', 'key', /what Vault answers is not a ciphertext/],
      ['{"data":{"ciphertext":"hello"}}', 'key', /what Vault answers is not a ciphertext/],
    ] as const;
    for (const [body, kind, message] of cases) {
      proxy.inject(/encrypt/, answer(body));
      await assert.rejects(wrapSome(wrapper), { kind, message });
    }
    const wrapped = await wrapSome(wrapper);
    await assert.rejects(wrapper.unwrap(withFlippedBit(wrapped, 8), someBackup), { kind: 'integrity' });
  });
});
