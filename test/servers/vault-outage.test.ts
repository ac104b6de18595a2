import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { KeyWrapper } from '../../src/core/key-wrapper.ts';
import { openKeyWrapper } from '../../src/keys/open-key-wrapper.ts';
import { readSecret, type Environment } from '../../src/keys/read-secret.ts';
import { isSecret, parseKeyReference, parseSecretReference } from '../../src/keys/secret-reference.ts';
import { newDataKey, someBackup } from '../contract/key-wrapper-contract.ts';
import { FaultProxy, refusal } from '../support/fault-proxy.ts';
import { administer, lookUpToken, makeToken, mount, server, vaultEnvironment } from '../support/vault-server.ts';

const folder = await mkdtemp(join(tmpdir(), 'librelog-vault-'));
after(async () => await rm(folder, { recursive: true }));

async function open(location: string, env: Environment): Promise<KeyWrapper> {
  const reference = parseKeyReference(`vault-transit:${location}`);
  assert.ok(!isSecret(reference));
  return await openKeyWrapper(reference, { env });
}

async function canWrap(wrapper: KeyWrapper): Promise<boolean> {
  using dataKey = newDataKey();
  const unwrapped = await wrapper.unwrap(await wrapper.wrap(dataKey, someBackup), someBackup);
  return unwrapped !== null;
}

describe('the token of a long run', () => {
  async function makeKey(): Promise<{ readonly key: string; readonly rights: Record<string, readonly string[]> }> {
    const engine = await mount('transit');
    await administer(['POST', `${engine}/keys/backup`], {});
    return { key: `${engine}/backup`, rights: { [`${engine}/*`]: ['read', 'update'] } };
  }

  async function isAlive(token: string): Promise<boolean> {
    return await lookUpToken(token).then(
      () => true,
      () => false,
    );
  }

  it('is renewed while a wrapper is open, also when Vault does not answer for a moment, and not after', async () => {
    await using proxy = await FaultProxy.start(Number(new URL(server.address).port));
    const { key, rights } = await makeKey();
    const token = await makeToken(rights, { ttl: '5s', renewable: true });
    const { expire_time: end } = await lookUpToken(token);
    const wrapper = await open(key, vaultEnvironment({ VAULT_TOKEN: token, VAULT_ADDR: proxy.endpoint }));
    assert.ok(await canWrap(wrapper));
    proxy.inject(/renew-self/, refusal('503 Service Unavailable'));
    while (Date.now() < Date.parse(String(end)) + 1_000) await sleep(50);
    assert.ok(await canWrap(wrapper));
    assert.equal(proxy.happenedFaults, 1);
    wrapper[Symbol.dispose]();
    while (await isAlive(token)) await sleep(100);
  });

  it('is used to its end when it cannot be renewed', async () => {
    const { key, rights } = await makeKey();
    const token = await makeToken(rights, { ttl: '2s', explicit_max_ttl: '2s' });
    using wrapper = await open(key, vaultEnvironment({ VAULT_TOKEN: token }));
    assert.ok(await canWrap(wrapper));
    while (await isAlive(token)) await sleep(50);
    await assert.rejects(canWrap(wrapper), { kind: 'key', message: /token is unknown, expired or revoked/ });
  });
});

describe('a Vault', () => {
  const script = fileURLToPath(new URL('openbao.sh', import.meta.url));
  const run = promisify(execFile);

  /** A server of the test's own, which it may seal and stop. */
  async function startServer(name: string) {
    const path = join(folder, name);
    const { stdout } = await run(script, ['start', path]);
    const exported = Object.fromEntries(
      [...stdout.matchAll(/^export (\w+)=(.*)$/gm)].map(([, key, value]) => [key, value]),
    );
    const address = String(exported['LIBRELOG_TEST_VAULT_ADDR']);
    const token = String(exported['LIBRELOG_TEST_VAULT_TOKEN']);
    const call = async (route: readonly [string, string], body?: unknown) =>
      await administer(route, body, { address, token });
    let isRunning = true;
    const stop = async () => {
      if (isRunning) await run(script, ['stop', path]);
      isRunning = false;
    };
    return {
      env: vaultEnvironment({ VAULT_ADDR: address, VAULT_TOKEN: token }),
      unsealKey: exported['LIBRELOG_TEST_VAULT_UNSEAL_KEY'],
      call,
      stop,
      [Symbol.asyncDispose]: stop,
    };
  }

  async function readFrom(env: Environment): Promise<string> {
    return (await readSecret(parseSecretReference('vault:kv/a'), { env })).secret.revealText();
  }

  it('that is sealed is waited for a moment, and then fails with key', async () => {
    await using own = await startServer('sealed');
    await own.call(['POST', 'sys/mounts/kv'], { type: 'kv' });
    await own.call(['POST', 'kv/a'], { value: 'opened' });
    assert.equal(await readFrom(own.env), 'opened');
    await own.call(['PUT', 'sys/seal']);
    await assert.rejects(readFrom(own.env), {
      kind: 'key',
      message: /^cannot read secret vault:kv\/a: Vault is sealed$/,
    });
    const pending = readFrom({ ...own.env });
    await own.call(['PUT', 'sys/unseal'], { key: own.unsealKey });
    assert.equal(await pending, 'opened');
  });

  it('that goes away in the middle, or was never there, fails with key', async () => {
    await using own = await startServer('gone');
    await own.call(['POST', 'sys/mounts/kv'], { type: 'kv' });
    await own.call(['POST', 'kv/a'], { value: 'opened' });
    await own.call(['POST', 'sys/mounts/transit'], { type: 'transit' });
    await own.call(['POST', 'transit/keys/backup'], {});
    using wrapper = await open('transit/backup', own.env);
    assert.ok(await canWrap(wrapper));
    assert.equal(await readFrom(own.env), 'opened');
    await own.stop();
    const down = { kind: 'key', message: /^cannot .*: cannot reach Vault: / };
    await Promise.all([
      assert.rejects(canWrap(wrapper), down),
      assert.rejects(readFrom(own.env), down),
      assert.rejects(readFrom({ ...own.env }), down),
    ]);
  });
});
