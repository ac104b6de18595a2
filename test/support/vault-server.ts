import { randomUUID } from 'node:crypto';
import type { Environment } from '../../src/keys/read-secret.ts';

function setting(name: string): string {
  const value = process.env[name];
  if (value) return value;
  throw new Error(`${name} is not set: start a server first (test/servers/openbao.sh)`);
}

/** The server that these tests must have: they fail without it. Start it with `test/servers/openbao.sh`. */
export const server = {
  address: setting('LIBRELOG_TEST_VAULT_ADDR'),
  tlsAddress: setting('LIBRELOG_TEST_VAULT_TLS_ADDR'),
  tlsName: setting('LIBRELOG_TEST_VAULT_TLS_NAME'),
  caFile: setting('LIBRELOG_TEST_VAULT_CA_FILE'),
  rootToken: setting('LIBRELOG_TEST_VAULT_TOKEN'),
  unsealKey: setting('LIBRELOG_TEST_VAULT_UNSEAL_KEY'),
};

export type Answer = Readonly<Record<string, unknown>>;

interface AdminOptions {
  readonly token?: string;
  readonly namespace?: string;
  readonly address?: string;
}

/** Calls the server as its owner, and fails when it refuses. `auth` and `data` of the answer are in one. */
export async function administer(
  [method, path]: readonly [string, string],
  body?: unknown,
  options: AdminOptions = {},
): Promise<Answer> {
  const { token = server.rootToken, namespace, address = server.address } = options;
  const response = await fetch(`${address}/v1/${path}`, {
    method,
    headers: { 'x-vault-token': token, ...(namespace !== undefined && { 'x-vault-namespace': namespace }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: HTTP ${response.status}: ${text}`);
  const { data, auth, ...rest } = (text === '' ? {} : JSON.parse(text)) as {
    data?: Answer | null;
    auth?: Answer | null;
  };
  return { ...rest, ...data, ...auth };
}

/** What our program is given: the address, a token, and no home with a token in it. */
export function vaultEnvironment(variables: Environment = {}): Environment {
  return { HOME: '/nonexistent', VAULT_ADDR: server.address, VAULT_TOKEN: server.rootToken, ...variables };
}

/** Mounts an engine under a name of its own and gives that. */
export async function mount(type: 'kv' | 'kv-v2' | 'transit', options: AdminOptions = {}): Promise<string> {
  const path = `${type}-${randomUUID()}`;
  const version = type === 'transit' ? {} : { options: { version: type === 'kv' ? '1' : '2' } };
  await administer(['POST', `sys/mounts/${path}`], { type: type === 'transit' ? type : 'kv', ...version }, options);
  return path;
}

/** Makes a policy and gives its name. */
export async function makePolicy(rules: Readonly<Record<string, readonly string[]>>): Promise<string> {
  const name = `policy-${randomUUID()}`;
  const policy = Object.entries(rules)
    .map(([path, capabilities]) => `path "${path}" { capabilities = ${JSON.stringify(capabilities)} }`)
    .join('\n');
  await administer(['POST', `sys/policies/acl/${name}`], { policy });
  return name;
}

/** Makes a token with these rights and gives it. */
export async function makeToken(
  rules: Readonly<Record<string, readonly string[]>>,
  settings: Answer = {},
): Promise<string> {
  const policies = [await makePolicy(rules)];
  return String((await administer(['POST', 'auth/token/create'], { policies, ...settings }))['client_token']);
}

/** What the server knows of a token. */
export async function lookUpToken(token: string): Promise<Answer> {
  return await administer(['POST', 'auth/token/lookup'], { token });
}

export async function revokeToken(token: string): Promise<void> {
  await administer(['POST', 'auth/token/revoke'], { token });
}
