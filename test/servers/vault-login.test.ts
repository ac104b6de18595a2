import assert from 'node:assert/strict';
import { generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { readSecret, type Environment } from '../../src/keys/read-secret.ts';
import { parseSecretReference } from '../../src/keys/secret-reference.ts';
import { CannedHttp } from '../support/canned-http.ts';
import { FaultProxy, refusal } from '../support/fault-proxy.ts';
import {
  administer,
  lookUpToken,
  makePolicy,
  makeToken,
  mount,
  revokeToken,
  server,
  vaultEnvironment,
} from '../support/vault-server.ts';

const folder = await mkdtemp(join(tmpdir(), 'librelog-vault-'));
after(async () => await rm(folder, { recursive: true }));

const kv = await mount('kv-v2');
await administer(['POST', `${kv}/data/a`], { data: { value: 'opened' } });
const rights = { [`${kv}/data/a`]: ['read'] };

async function read(env: Environment, signal?: AbortSignal): Promise<string> {
  const access = { env, ...(signal !== undefined && { signal }) };
  return (await readSecret(parseSecretReference(`vault:${kv}/a`), access)).secret.revealText();
}

function toEnvironment(variables: Environment): Environment {
  const named = Object.entries(variables).map(([name, value]) => [
    name.startsWith('VAULT_') ? name : `LIBRELOG_BACKUP_VAULT_${name}`,
    value,
  ]);
  return { ...vaultEnvironment({ VAULT_TOKEN: undefined }), ...Object.fromEntries(named) };
}

async function startProxy(): Promise<FaultProxy> {
  return await FaultProxy.start(Number(new URL(server.address).port));
}

function loginsSeenBy(proxy: FaultProxy): number {
  return proxy.requests.filter((line) => /^POST \S*\/login /.test(line)).length;
}

describe('a token of Vault', () => {
  it('is taken from ~/.vault-token, and taken again from there when Vault refuses it', async () => {
    const env = vaultEnvironment({ VAULT_TOKEN: undefined, HOME: folder });
    const [first, second] = [await makeToken(rights), await makeToken(rights)];
    await writeFile(join(folder, '.vault-token'), first);
    assert.equal(await read(env), 'opened');
    await writeFile(join(folder, '.vault-token'), `${second}\n`);
    await revokeToken(first);
    assert.equal(await read(env), 'opened');
    await revokeToken(second);
    await assert.rejects(read(env), { kind: 'key', message: /the Vault token is unknown, expired or revoked/ });
  });

  it('is told apart, when it was revoked or has expired, from one without the right', async () => {
    const refused = { kind: 'key', message: /\/a: the Vault token is unknown, expired or revoked$/ };
    const revoked = vaultEnvironment({ VAULT_TOKEN: await makeToken(rights) });
    assert.equal(await read(revoked), 'opened');
    await revokeToken(String(revoked['VAULT_TOKEN']));
    await assert.rejects(read(revoked), refused);
    await assert.rejects(read(vaultEnvironment({ VAULT_TOKEN: revoked['VAULT_TOKEN'] })), refused);

    const brief = await makeToken(rights, { ttl: '1s', renewable: false });
    while (await lookUpToken(brief).catch(() => null)) await sleep(50);
    await assert.rejects(read(vaultEnvironment({ VAULT_TOKEN: brief })), refused);

    const powerless = vaultEnvironment({ VAULT_TOKEN: await makeToken({ [`${kv}/data/b`]: ['read'] }) });
    await assert.rejects(read(powerless), {
      kind: 'key',
      message: /\/a: permission denied on "kv-v2-\S+\/a", or there is no such mount$/,
    });
  });

  it('may be one that cannot look itself up', async () => {
    const token = await makeToken(rights, { no_default_policy: true });
    assert.equal(await read(vaultEnvironment({ VAULT_TOKEN: token })), 'opened');
  });
});

describe('a login by AppRole', () => {
  interface Role {
    readonly name: string;
    readonly mount: string;
    readonly roleId: string;
    makeSecretId(): Promise<string>;
  }

  async function makeRole(settings: Readonly<Record<string, unknown>> = {}): Promise<Role> {
    const path = `approle-${randomUUID()}`;
    await administer(['POST', `sys/auth/${path}`], { type: 'approle' });
    const name = `auth/${path}/role/backup`;
    await administer(['POST', name], { token_policies: [await makePolicy(rights)], ...settings });
    const { role_id: roleId } = await administer(['GET', `${name}/role-id`]);
    const makeSecretId = async () => String((await administer(['POST', `${name}/secret-id`]))['secret_id']);
    return { name, mount: path, roleId: String(roleId), makeSecretId };
  }

  async function writeSecretId(role: Role): Promise<string> {
    const path = join(folder, randomUUID());
    await writeFile(path, `${await role.makeSecretId()}\n`, { mode: 0o600 });
    return `file:${path}`;
  }

  async function environmentOf(role: Role, variables: Environment = {}): Promise<Environment> {
    const SECRET_ID = await writeSecretId(role);
    return toEnvironment({ AUTH: 'approle', AUTH_MOUNT: role.mount, ROLE_ID: role.roleId, SECRET_ID, ...variables });
  }

  it('happens once for many reads at once and later ones, so that a secret id of one use is enough', async () => {
    await using proxy = await startProxy();
    const role = await makeRole({ secret_id_num_uses: 1 });
    const env = await environmentOf(role, { VAULT_ADDR: proxy.endpoint });
    const values = await Promise.all(Array.from({ length: 5 }, async () => await read(env)));
    assert.deepEqual(new Set([...values, await read(env)]), new Set(['opened']));
    assert.equal(loginsSeenBy(proxy), 1);
    await assert.rejects(read({ ...env }), {
      kind: 'key',
      message: /Vault refuses the login by approle at auth\/approle-/,
    });
  });

  it('works without a secret id where the role does not bind to one', async () => {
    const role = await makeRole({ bind_secret_id: false, token_bound_cidrs: ['127.0.0.1/32'] });
    const env = toEnvironment({ AUTH: 'approle', AUTH_MOUNT: role.mount, ROLE_ID: role.roleId });
    assert.equal(await read(env), 'opened');
  });

  it('fails with key, saying what Vault says and not the secret id', async () => {
    const role = await makeRole();
    const cases: [Environment, RegExp][] = [
      [
        { SECRET_ID: 'env:HUNTER' },
        /^cannot read secret vault:\S+: Vault refuses the login by approle at auth\/.*secret/,
      ],
      [{ ROLE_ID: 'other' }, /Vault refuses the login by approle at auth\/.*role/],
      [{ AUTH_MOUNT: 'nowhere' }, /Vault refuses the login by approle at auth\/nowhere: /],
      [{ SECRET_ID: 'env:NOT_SET' }, /cannot read secret env:NOT_SET/],
    ];
    for (const [variables, message] of cases) {
      const env = { ...(await environmentOf(role, variables)), HUNTER: 'hunter2' };
      await assert.rejects(read(env), (error) => {
        assert.ok(error instanceof Error && 'kind' in error && error.kind === 'key');
        assert.match(error.message, message);
        return !error.message.includes('hunter2');
      });
    }
  });

  it('is repeated when the token was revoked in the middle', async () => {
    await using proxy = await startProxy();
    const role = await makeRole();
    const env = await environmentOf(role, { VAULT_ADDR: proxy.endpoint });
    assert.equal(await read(env), 'opened');
    await administer(['POST', `sys/leases/revoke-prefix/auth/${role.mount}`]);
    assert.equal(await read(env), 'opened');
    assert.equal(loginsSeenBy(proxy), 2);
    await administer(['DELETE', role.name]);
    await administer(['POST', `sys/leases/revoke-prefix/auth/${role.mount}`]);
    await assert.rejects(read(env), { kind: 'key', message: /Vault refuses the login by approle/ });
  });

  it('is repeated when the token has ended', async () => {
    await using proxy = await startProxy();
    const role = await makeRole({ token_ttl: '1s', token_max_ttl: '1s' });
    const env = await environmentOf(role, { VAULT_ADDR: proxy.endpoint });
    const deadline = Date.now() + 20_000;
    while (loginsSeenBy(proxy) < 3 && Date.now() < deadline) {
      assert.equal(await read(env), 'opened');
      await sleep(100);
    }
    assert.equal(loginsSeenBy(proxy), 3);
  });

  it('is repeated when it is cut off, and ends when nobody waits for it any more', async () => {
    await using proxy = await startProxy();
    const env = await environmentOf(await makeRole(), { VAULT_ADDR: proxy.endpoint });
    proxy.inject(/login/, { kind: 'reset', direction: 'down', afterBytes: 0 });
    proxy.inject(/login/, refusal('503 Service Unavailable'));
    assert.equal(await read(env), 'opened');
    assert.equal(loginsSeenBy(proxy), 3);

    const other = { ...env };
    proxy.inject(/login/, { kind: 'stall', direction: 'up', afterBytes: 0 });
    const [first, second] = [new AbortController(), new AbortController()];
    const reads = [read(other, first.signal), read(other, second.signal)];
    while (proxy.happenedFaults < 3) await sleep(10);
    first.abort(new Error('first'));
    await assert.rejects(Promise.race(reads), { message: 'first' });
    second.abort(new Error('second'));
    await assert.rejects(reads[1] ?? Promise.resolve(), { message: 'second' });
    assert.equal(await read(other), 'opened');
  });
});

function makeJwt(claims: Readonly<Record<string, unknown>>, key: Parameters<typeof sign>[2]): string {
  const now = Math.floor(Date.now() / 1000);
  const all = { iat: now, nbf: now - 10, exp: now + 600, ...claims };
  const parts = [{ alg: 'RS256', typ: 'JWT' }, all].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  );
  return `${parts.join('.')}.${sign('sha256', Buffer.from(parts.join('.')), key).toString('base64url')}`;
}

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });

describe('a login by JWT', () => {
  async function makeJwtAuth(): Promise<string> {
    const path = `jwt-${randomUUID()}`;
    await administer(['POST', `sys/auth/${path}`], { type: 'jwt' });
    const pem = publicKey.export({ type: 'spki', format: 'pem' });
    const config = { jwt_validation_pubkeys: [pem], bound_issuer: 'https://ci.test', default_role: 'backup' };
    await administer(['POST', `auth/${path}/config`], config);
    await administer(['POST', `auth/${path}/role/backup`], {
      role_type: 'jwt',
      bound_audiences: ['vault'],
      user_claim: 'sub',
      token_policies: [await makePolicy(rights)],
    });
    return path;
  }

  const claims = { iss: 'https://ci.test', aud: 'vault', sub: 'project:backup' };

  it('is done with the JWT of a CI job, for a role or the default one', async () => {
    const AUTH_MOUNT = await makeJwtAuth();
    const env = toEnvironment({ AUTH: 'jwt', AUTH_MOUNT, JWT: 'env:ID_TOKEN' });
    assert.equal(await read({ ...env, ID_TOKEN: makeJwt(claims, privateKey) }), 'opened');
    const named = { ...env, LIBRELOG_BACKUP_VAULT_ROLE: 'backup' };
    assert.equal(await read({ ...named, ID_TOKEN: makeJwt(claims, privateKey) }), 'opened');
  });

  it('reads a JWT that has been replaced when it has to log in again', async () => {
    const AUTH_MOUNT = await makeJwtAuth();
    const path = join(folder, 'jwt');
    await writeFile(path, makeJwt(claims, privateKey));
    const env = toEnvironment({ AUTH: 'jwt', AUTH_MOUNT, JWT: `file:${path}` });
    assert.equal(await read(env), 'opened');
    await writeFile(path, makeJwt({ ...claims, sub: 'later' }, privateKey));
    await administer(['POST', `sys/leases/revoke-prefix/auth/${AUTH_MOUNT}`]);
    assert.equal(await read(env), 'opened');
  });

  it('fails with key for a JWT that has expired, is for others, or is signed by others', async () => {
    const AUTH_MOUNT = await makeJwtAuth();
    const env = toEnvironment({ AUTH: 'jwt', AUTH_MOUNT, JWT: 'env:ID_TOKEN' });
    const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
    const jwts = [
      makeJwt({ ...claims, exp: 1_700_000_000, iat: 1_699_999_000, nbf: 1_699_999_000 }, privateKey),
      makeJwt({ ...claims, aud: 'others' }, privateKey),
      makeJwt(claims, stranger),
    ];
    for (const ID_TOKEN of jwts) {
      const message = /Vault refuses the login by jwt at auth\/jwt-/;
      await assert.rejects(read({ ...env, ID_TOKEN }), { kind: 'key', message });
    }
  });
});

describe('a login by Kubernetes', () => {
  it('is done with the token of the service account, which Kubernetes confirms to Vault', async () => {
    const account = { namespace: 'jobs', serviceaccount: { name: 'backup', uid: randomUUID() } };
    const jwt = makeJwt({ iss: 'kubernetes/serviceaccount', 'kubernetes.io': account }, privateKey);
    await using kubernetes = await CannedHttp.start(({ path, body }) => {
      const { spec } = JSON.parse(body.toString()) as { spec: { token: string } };
      const isKnown = path === '/apis/authentication.k8s.io/v1/tokenreviews' && spec.token === jwt;
      const user = { username: 'system:serviceaccount:jobs:backup', uid: account.serviceaccount.uid };
      const review = { kind: 'TokenReview', apiVersion: 'authentication.k8s.io/v1' };
      const answer = JSON.stringify({ ...review, status: isKnown ? { authenticated: true, user } : {} });
      return { status: 201, headers: { 'content-type': 'application/json' }, body: answer };
    });
    const path = `kubernetes-${randomUUID()}`;
    await administer(['POST', `sys/auth/${path}`], { type: 'kubernetes' });
    const config = { kubernetes_host: kubernetes.endpoint, kubernetes_ca_cert: readFileSync(server.caFile, 'utf8') };
    await administer(['POST', `auth/${path}/config`], config);
    await administer(['POST', `auth/${path}/role/backup`], {
      bound_service_account_names: ['backup'],
      bound_service_account_namespaces: ['jobs'],
      token_policies: [await makePolicy(rights)],
    });
    const file = join(folder, 'service-account');
    const variables = { AUTH: 'kubernetes', AUTH_MOUNT: path, ROLE: 'backup', JWT: `file:${file}` };
    await writeFile(file, jwt);
    assert.equal(await read(toEnvironment(variables)), 'opened');
    assert.equal(kubernetes.requests.length, 1);
    await writeFile(file, makeJwt({ 'kubernetes.io': account }, privateKey));
    const message = /Vault refuses the login by kubernetes at auth\/kubernetes-/;
    await assert.rejects(read(toEnvironment(variables)), { kind: 'key', message });
  });
});
