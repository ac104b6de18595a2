import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { inspect } from 'node:util';
import { readSecret, type Environment } from '../../src/keys/read-secret.ts';
import { parseSecretReference } from '../../src/keys/secret-reference.ts';
import { readVaultSettings } from '../../src/keys/vault-settings.ts';
import { CannedHttp } from '../support/canned-http.ts';

const home = await mkdtemp(join(tmpdir(), 'librelog-vault-'));
after(async () => await rm(home, { recursive: true }));

const address = 'https://vault.test:8200';

async function read(variables: Environment): Promise<string> {
  const env = { HOME: home, ...variables };
  return (await readSecret(parseSecretReference('vault:kv/a'), { env })).secret.revealText();
}

describe('settings of Vault', () => {
  it("are those of Vault's own command line", () => {
    const env = {
      VAULT_ADDR: `${address}/`,
      VAULT_NAMESPACE: '/team/a/',
      VAULT_CACERT: '/etc/ca.pem',
      VAULT_TLS_SERVER_NAME: 'vault',
      VAULT_CLIENT_TIMEOUT: '1m30s',
    };
    assert.deepEqual(readVaultSettings(env), {
      address,
      namespace: 'team/a',
      caFile: '/etc/ca.pem',
      serverName: 'vault',
      timeoutMs: 90_000,
      auth: { method: 'token' },
    });
    assert.deepEqual(readVaultSettings({ VAULT_ADDR: `${address}/behind/a/proxy/` }), {
      address: `${address}/behind/a/proxy`,
      namespace: '',
      caFile: undefined,
      serverName: undefined,
      timeoutMs: 60_000,
      auth: { method: 'token' },
    });
  });

  it('take a timeout in seconds or with units', () => {
    for (const [text, timeoutMs] of [
      ['30', 30_000],
      ['500ms', 500],
      ['1.5s', 1_500],
      ['1h2m', 3_720_000],
      ['100000h', 2 ** 31 - 1],
    ] as const) {
      assert.equal(readVaultSettings({ VAULT_ADDR: address, VAULT_CLIENT_TIMEOUT: text }).timeoutMs, timeoutMs, text);
    }
  });

  it('name the ways to log in', () => {
    const cases: [Record<string, string>, object][] = [
      [
        { AUTH: 'approle', ROLE_ID: 'r', SECRET_ID: 'file:/s' },
        { method: 'approle', mount: 'approle', roleId: 'r', secretId: parseSecretReference('file:/s') },
      ],
      [{ AUTH: 'approle', ROLE_ID: 'r' }, { secretId: undefined }],
      [
        { AUTH: 'kubernetes', ROLE: 'backup' },
        { mount: 'kubernetes', jwt: parseSecretReference('file:/var/run/secrets/kubernetes.io/serviceaccount/token') },
      ],
      [
        { AUTH: 'jwt', AUTH_MOUNT: 'auth/ci/gitlab/', JWT: 'env:ID_TOKEN' },
        { method: 'jwt', mount: 'ci/gitlab', role: undefined, jwt: parseSecretReference('env:ID_TOKEN') },
      ],
    ];
    for (const [variables, auth] of cases) {
      const named = Object.entries(variables).map(([name, value]) => [`LIBRELOG_BACKUP_VAULT_${name}`, value]);
      const settings = readVaultSettings({ VAULT_ADDR: address, ...Object.fromEntries(named) });
      assert.partialDeepStrictEqual(settings.auth, auth);
    }
  });

  it('fail with config, naming the variable and never its value, when one is wrong', () => {
    const cases: [Record<string, string>, RegExp][] = [
      [{ VAULT_ADDR: '' }, /^VAULT_ADDR is not set$/],
      [{ VAULT_ADDR: 'hunter2:8200' }, /^VAULT_ADDR is not the address of a server$/],
      [{ VAULT_ADDR: 'https://user:hunter2@vault.test' }, /^VAULT_ADDR is not the address/],
      [{ VAULT_ADDR: 'unix:///run/vault.sock' }, /^VAULT_ADDR is not the address/],
      [{ VAULT_CLIENT_TIMEOUT: 'hunter2' }, /^VAULT_CLIENT_TIMEOUT is not a duration$/],
      [{ VAULT_CLIENT_TIMEOUT: '0' }, /^VAULT_CLIENT_TIMEOUT is not a duration$/],
      [{ LIBRELOG_BACKUP_VAULT_AUTH: 'hunter2' }, /^LIBRELOG_BACKUP_VAULT_AUTH names no way to log in$/],
      [{ LIBRELOG_BACKUP_VAULT_AUTH: 'approle' }, /^LIBRELOG_BACKUP_VAULT_ROLE_ID is not set$/],
      [{ LIBRELOG_BACKUP_VAULT_AUTH: 'kubernetes' }, /^LIBRELOG_BACKUP_VAULT_ROLE is not set$/],
      [{ LIBRELOG_BACKUP_VAULT_AUTH: 'jwt' }, /^LIBRELOG_BACKUP_VAULT_JWT is not set$/],
      [
        { LIBRELOG_BACKUP_VAULT_AUTH: 'jwt', LIBRELOG_BACKUP_VAULT_JWT: 'hunter2' },
        /^LIBRELOG_BACKUP_VAULT_JWT is not a secret reference$/,
      ],
      [
        { LIBRELOG_BACKUP_VAULT_AUTH: 'jwt', LIBRELOG_BACKUP_VAULT_JWT: 'vault:hunter2/jwt' },
        /^LIBRELOG_BACKUP_VAULT_JWT does not name a secret on this machine$/,
      ],
    ];
    for (const [variables, message] of cases) {
      assert.throws(
        () => readVaultSettings({ VAULT_ADDR: address, ...variables }),
        (error) => {
          assert.ok(error instanceof Error && 'kind' in error && error.kind === 'config');
          assert.match(error.message, message);
          return !inspect(error).includes('hunter2');
        },
      );
    }
  });

  it('are read before anything is asked for', async () => {
    await assert.rejects(read({}), { kind: 'config', message: /VAULT_ADDR is not set/ });
    const proxied = { VAULT_ADDR: address, VAULT_TOKEN: 't', HTTPS_PROXY: 'hunter2' };
    await assert.rejects(read(proxied), { kind: 'config', message: /HTTPS_PROXY is not the address of an HTTP proxy/ });
    const noFile = { VAULT_ADDR: address, VAULT_TOKEN: 't', VAULT_CACERT: join(home, 'none') };
    await assert.rejects(read(noFile), { kind: 'config', message: /there is no such file/ });
  });
});

describe('the token of Vault', () => {
  it('is missing: key, and says where it was looked for', async () => {
    const message = /there is no Vault token: neither VAULT_TOKEN nor a readable ~\/\.vault-token/;
    await assert.rejects(read({ VAULT_ADDR: address }), { kind: 'key', message });
    await assert.rejects(read({ VAULT_ADDR: address, VAULT_TOKEN: ' \n' }), { kind: 'key', message });
  });

  it('goes out in its header, with the namespace and the mark of a client, and is printed nowhere', async () => {
    await writeFile(join(home, '.vault-token'), 's.hunter2\n');
    await using canned = await CannedHttp.start(() => ({ status: 403, body: '{"errors":["permission denied"]}' }));
    await assert.rejects(read({ VAULT_ADDR: canned.endpoint, VAULT_NAMESPACE: 'team' }), (error) => {
      assert.ok(error instanceof Error && 'kind' in error && error.kind === 'key');
      assert.match(error.message, /^cannot read secret vault:kv\/a: the Vault token is unknown, expired or revoked$/);
      return !inspect(error, { depth: 9 }).includes('hunter2');
    });
    assert.ok(canned.requests.length > 0);
    for (const { headers, path } of canned.requests) {
      assert.equal(headers['x-vault-token'], 's.hunter2');
      assert.equal(headers['x-vault-namespace'], 'team');
      assert.equal(headers['x-vault-request'], 'true');
      assert.match(path, /^\/v1\/(auth\/token\/lookup-self|sys\/internal\/ui\/mounts\/kv\/a)$/);
    }
  });

  it('must be one that fits a header', async () => {
    await writeFile(join(home, '.vault-token'), 'two\nlines\n');
    await assert.rejects(read({ VAULT_ADDR: address }), { kind: 'key', message: /there is no Vault token/ });
    const pending = read({ VAULT_ADDR: address, VAULT_TOKEN: 'two\nlines' });
    await assert.rejects(pending, { kind: 'key', message: /VAULT_TOKEN holds nothing that Vault would take/ });
  });
});

describe('an answer in the place of Vault', () => {
  it('is not taken for a secret', async () => {
    const bodies = ['<html>hunter2</html>', '["hunter2"]', '{"data":{"path":"kv/","type":"kv"', '"hunter2"'];
    for (const body of bodies) {
      await using canned = await CannedHttp.start(() => ({ status: 200, body }));
      await assert.rejects(read({ VAULT_ADDR: canned.endpoint, VAULT_TOKEN: 't' }), (error) => {
        assert.ok(error instanceof Error && 'kind' in error && error.kind === 'config');
        assert.match(error.message, /what answers is not Vault/);
        return !inspect(error).includes('hunter2');
      });
    }
  });

  it('is not read beyond what a secret can be', async () => {
    await using canned = await CannedHttp.start(() => ({ status: 200, body: Buffer.alloc(9 * 1024 * 1024, ' ') }));
    const pending = read({ VAULT_ADDR: canned.endpoint, VAULT_TOKEN: 't' });
    await assert.rejects(pending, { kind: 'key', message: /larger than 8388608 bytes/ });
  });
});
