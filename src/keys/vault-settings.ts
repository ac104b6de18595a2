import { BackupError } from '../core/backup-error.ts';
import type { Environment } from './read-secret.ts';
import { parseSecretReference, type SecretReference } from './secret-reference.ts';

/** Where Vault is and how to speak with it: the variables of Vault's own command line, and ours for the way to log in. */
export interface VaultSettings {
  /** `https://HOST:PORT`, without a slash at the end. */
  readonly address: string;
  /** Without slashes at either end; empty for the root namespace. */
  readonly namespace: string;
  readonly caFile: string | undefined;
  readonly serverName: string | undefined;
  /** For one request, its answer included. */
  readonly timeoutMs: number;
  readonly auth: VaultAuth;
}

export type VaultAuth =
  /** VAULT_TOKEN, or the file in which `vault login` and the agent leave it. */
  | { readonly method: 'token' }
  | {
      readonly method: 'approle';
      readonly mount: string;
      readonly roleId: string;
      /** Roles may do without. */
      readonly secretId: SecretReference | undefined;
    }
  | {
      readonly method: 'kubernetes' | 'jwt';
      readonly mount: string;
      /** The mount may have a default. */
      readonly role: string | undefined;
      readonly jwt: SecretReference;
    };

const prefix = 'LIBRELOG_BACKUP_VAULT_';
const serviceAccountToken = 'file:/var/run/secrets/kubernetes.io/serviceaccount/token';
const defaultTimeoutMs = 60_000;

/** Errors: `config`, naming the variable. */
export function readVaultSettings(env: Environment): VaultSettings {
  return {
    address: readAddress(env),
    namespace: (env['VAULT_NAMESPACE'] ?? '').replaceAll(/^\/+|\/+$/g, ''),
    caFile: env['VAULT_CACERT'] || undefined,
    serverName: env['VAULT_TLS_SERVER_NAME'] || undefined,
    timeoutMs: readTimeout(env['VAULT_CLIENT_TIMEOUT']),
    auth: readAuth(env),
  };
}

function readAddress(env: Environment): string {
  const text = env['VAULT_ADDR'] ?? '';
  if (text === '') throw new BackupError('config', 'VAULT_ADDR is not set', { hint: 'Set it to https://HOST:PORT.' });
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain = url !== undefined && url.username === '' && url.search === '' && url.hash === '';
  if (isPlain && /^https?:$/.test(url.protocol)) return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
  throw new BackupError('config', 'VAULT_ADDR is not the address of a server', {
    hint: 'Write it as https://HOST:PORT.',
  });
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** As Vault's command line takes it: seconds, or units in a row (`1m30s`). */
function readTimeout(text: string | undefined): number {
  if (text === undefined || text === '') return defaultTimeoutMs;
  if (!/^(?:\d+|(?:\d+(?:\.\d+)?(?:ms|s|m|h))+)$/.test(text)) throw badTimeout();
  if (/^\d+$/.test(text)) return positive(Number(text) * 1000);
  const parts = [...text.matchAll(/([\d.]+)(ms|s|m|h)/g)];
  return positive(parts.reduce((sum, [, count, unit = '']) => sum + Number(count) * (unitMs[unit] ?? 0), 0));
}

function positive(timeoutMs: number): number {
  // setTimeout and AbortSignal.timeout take no more.
  if (timeoutMs > 0) return Math.min(timeoutMs, 2 ** 31 - 1);
  throw badTimeout();
}

function badTimeout(): BackupError {
  return new BackupError('config', 'VAULT_CLIENT_TIMEOUT is not a duration', { hint: 'Write 60s or 1m30s.' });
}

function readAuth(env: Environment): VaultAuth {
  const method = env[`${prefix}AUTH`] ?? 'token';
  switch (method) {
    case 'token':
      return { method };
    case 'approle':
      return { method, mount: readMount(env, method), roleId: readRoleId(env), secretId: readSecretId(env) };
    case 'kubernetes':
    case 'jwt':
      return {
        method,
        mount: readMount(env, method),
        role: readRole(env, method),
        jwt: readReference(env, `${prefix}JWT`, method === 'kubernetes' ? serviceAccountToken : undefined),
      };
    default:
      throw new BackupError('config', `${prefix}AUTH names no way to log in`, {
        hint: 'Write token, approle, kubernetes or jwt.',
      });
  }
}

function readMount(env: Environment, method: string): string {
  return (env[`${prefix}AUTH_MOUNT`] || method).replaceAll(/^(?:auth\/)?\/*|\/+$/g, '');
}

function readRoleId(env: Environment): string {
  const roleId = env[`${prefix}ROLE_ID`] ?? '';
  if (roleId !== '') return roleId;
  throw new BackupError('config', `${prefix}ROLE_ID is not set`, { hint: 'AppRole needs the role id.' });
}

function readSecretId(env: Environment): SecretReference | undefined {
  const name = `${prefix}SECRET_ID`;
  return env[name] === undefined ? undefined : readReference(env, name);
}

function readRole(env: Environment, method: 'kubernetes' | 'jwt'): string | undefined {
  const role = env[`${prefix}ROLE`] || undefined;
  if (role !== undefined || method === 'jwt') return role;
  throw new BackupError('config', `${prefix}ROLE is not set`, { hint: 'Logging in by Kubernetes needs a role.' });
}

const localSchemes = ['env', 'file', 'exec'];

/** A reference to a secret that must not come from Vault itself. The value may be the secret, and is never repeated. */
function readReference(env: Environment, name: string, fallback?: string): SecretReference {
  const text = env[name] ?? fallback;
  const hint = 'Write env:NAME, file:PATH or exec:COMMAND.';
  if (text === undefined) throw new BackupError('config', `${name} is not set`, { hint });
  const reference = parse(text, name, hint);
  if (localSchemes.includes(reference.scheme)) return reference;
  throw new BackupError('config', `${name} does not name a secret on this machine`, { hint });
}

function parse(text: string, name: string, hint: string): SecretReference {
  try {
    return parseSecretReference(text);
  } catch (error) {
    throw new BackupError('config', `${name} is not a secret reference`, { hint, cause: error });
  }
}
