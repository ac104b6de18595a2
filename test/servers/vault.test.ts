import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import { readSecret, type Environment, type SecretRead } from '../../src/keys/read-secret.ts';
import { parseSecretReference } from '../../src/keys/secret-reference.ts';
import { testSecretSource } from '../contract/secret-source-contract.ts';
import { administer, makeToken, mount, server, vaultEnvironment } from '../support/vault-server.ts';

const plain = await mount('kv');
const versioned = await mount('kv-v2');

async function read(reference: string, variables: Environment = {}): Promise<SecretRead> {
  return await readSecret(parseSecretReference(reference), { env: vaultEnvironment(variables) });
}

async function readText(reference: string, variables: Environment = {}): Promise<string> {
  return (await read(reference, variables)).secret.revealText();
}

async function putVersion(path: string, data: unknown): Promise<void> {
  await administer(['POST', `${versioned}/data/${path}`], { data });
}

testSecretSource('Vault KV version 1', {
  env: vaultEnvironment,
  put: async (value) => {
    const path = `${plain}/team/${randomUUID()}`;
    await administer(['POST', path], { value });
    return `vault:${path}`;
  },
  putFields: async (fields) => {
    const path = `${plain}/${randomUUID()}`;
    await administer(['POST', path], fields);
    return `vault:${path}`;
  },
  missing: `vault:${plain}/missing`,
});

testSecretSource('Vault KV version 2', {
  env: vaultEnvironment,
  put: async (value) => {
    const path = `team/${randomUUID()}`;
    await putVersion(path, { value });
    return `vault:${versioned}/${path}`;
  },
  putFields: async (fields) => {
    const path = randomUUID();
    await putVersion(path, fields);
    return `vault:${versioned}/${path}`;
  },
  putAgain: async (reference, value) => await putVersion(reference.replace(`vault:${versioned}/`, ''), { value }),
  missing: `vault:${versioned}/missing`,
  missingVersion: '99',
});

describe('a secret in Vault', () => {
  it('has its only field taken when the reference names none, and its fields named when there are several', async () => {
    await putVersion('several', { user: 'backup', password: 'hunter2' });
    await putVersion('none', {});
    const several = read(`vault:${versioned}/several`);
    await assert.rejects(several, { kind: 'key', message: /\/several has 2 fields: password, user$/ });
    await assert.rejects(read(`vault:${versioned}/none`), { kind: 'key', message: /has 0 fields: none$/ });
  });

  it('fails with key and says so when its version was deleted or destroyed', async () => {
    for (const value of ['one', 'two', 'three']) await putVersion('gone', { value });
    await administer(['POST', `${versioned}/delete/gone`], { versions: [3] });
    await administer(['PUT', `${versioned}/destroy/gone`], { versions: [1] });
    const reference = `vault:${versioned}/gone`;
    await assert.rejects(read(reference), { kind: 'key', message: /version 3 was deleted at 2\d{3}-/ });
    await assert.rejects(read(`${reference}@1`), { kind: 'key', message: /version 1 is destroyed$/ });
    assert.equal(await readText(`${reference}@2`), 'two');
    await administer(['POST', `${versioned}/undelete/gone`], { versions: [3] });
    assert.equal(await readText(reference), 'three');
  });

  it('fails when a version is asked for that cannot be', async () => {
    await administer(['POST', `${plain}/a`], { value: 'x' });
    await putVersion('a', { value: 'x' });
    await assert.rejects(read(`vault:${plain}/a@1`), { kind: 'key', message: /version 1, which keeps no versions/ });
    for (const version of ['0', 'first', '-1', '1.5']) {
      const expected = { kind: 'config', message: /versions of Vault secrets are numbers/ };
      await assert.rejects(read(`vault:${versioned}/a@${version}`), expected, version);
    }
  });

  it('is found under a mount whose name has several parts, and under a path with characters of URLs', async () => {
    const path = `teams/${randomUUID()}/kv`;
    await administer(['POST', `sys/mounts/${path}`], { type: 'kv', options: { version: '2' } });
    await administer(['POST', `${path}/data/a%3Fb%26c%20d`], { data: { value: 'odd' } });
    const reference = { scheme: 'vault', location: `${path}/a?b&c d`, text: 'vault:x', takesVersion: true } as const;
    const { secret } = await readSecret(reference, { env: vaultEnvironment() });
    assert.equal(secret.revealText(), 'odd');
    await assert.rejects(read(`vault:${path}/../${plain}/a`), {
      kind: 'config',
      message: /"\." and "\.\." are no part/,
    });
  });

  it('is not read from what is no KV engine, nor is a mount itself', async () => {
    const transit = await mount('transit');
    await assert.rejects(read(`vault:${transit}/keys`), { kind: 'config', message: /is not a KV secrets engine/ });
    const path = `teams/${randomUUID()}`;
    await administer(['POST', `sys/mounts/${path}`], { type: 'kv', options: { version: '2' } });
    await assert.rejects(read(`vault:${path}`), { kind: 'config', message: /is a mount, not a secret in it/ });
  });

  it('is read with no more rights than read on its path, and refused without', async () => {
    await putVersion('allowed', { value: 'yes' });
    await putVersion('forbidden', { value: 'no' });
    const token = await makeToken({ [`${versioned}/data/allowed`]: ['read'] });
    assert.equal(await readText(`vault:${versioned}/allowed`, { VAULT_TOKEN: ` ${token}\n` }), 'yes');
    const denied = { kind: 'key', message: /\/forbidden: permission denied on "kv-v2-\S+\/data\/forbidden"/ };
    await assert.rejects(read(`vault:${versioned}/forbidden`, { VAULT_TOKEN: token }), denied);
    await assert.rejects(read('vault:no-such-mount/a', { VAULT_TOKEN: token }), {
      kind: 'key',
      message: /no such mount/,
    });
  });

  it('is read from a namespace', async () => {
    const namespace = `team-${randomUUID()}`;
    await administer(['POST', `sys/namespaces/${namespace}`], {});
    const path = await mount('kv-v2', { namespace });
    await administer(['POST', `${path}/data/a`], { data: { value: 'inside' } }, { namespace });
    assert.equal(await readText(`vault:${path}/a`, { VAULT_NAMESPACE: namespace }), 'inside');
    assert.equal(await readText(`vault:${path}/a`, { VAULT_NAMESPACE: `/${namespace}/` }), 'inside');
    assert.equal(await readText(`vault:${namespace}/${path}/a`), 'inside');
    await assert.rejects(read(`vault:${path}/a`), { kind: 'key' });
  });

  it('is read over TLS by an authority and a name of its own, and not without', async () => {
    await putVersion('tls', { value: 'sealed' });
    const reference = `vault:${versioned}/tls`;
    const tls = {
      VAULT_ADDR: `${server.tlsAddress}/`,
      VAULT_CACERT: server.caFile,
      VAULT_TLS_SERVER_NAME: server.tlsName,
    };
    assert.equal(await readText(reference, tls), 'sealed');
    const untrusted = { kind: 'key', message: /the certificate of Vault is not trusted/ };
    await assert.rejects(read(reference, { ...tls, VAULT_CACERT: undefined }), untrusted);
    await assert.rejects(read(reference, { ...tls, VAULT_TLS_SERVER_NAME: undefined }), untrusted);
    await assert.rejects(read(reference, { ...tls, VAULT_CACERT: '/nonexistent' }), { kind: 'config' });
    const mixed = { VAULT_ADDR: server.tlsAddress.replace('https', 'http') };
    await assert.rejects(read(reference, mixed), { kind: 'config', message: /what answers is not Vault/ });
    const unencrypted = { VAULT_ADDR: server.address.replace('http', 'https') };
    await assert.rejects(read(reference, unencrypted), { kind: 'config', message: /does not speak TLS/ });
  });
});
