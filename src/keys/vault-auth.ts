import { homedir } from 'node:os';
import { join } from 'node:path';
import { BackupError } from '../core/backup-error.ts';
import { readVariable } from './env-source.ts';
import { runSecretCommand } from './exec-source.ts';
import { readSecretFile } from './file-source.ts';
import { selectJsonField } from './json-field.ts';
import type { SecretAccess, SecretSource } from './read-secret.ts';
import { toFileReference, type SecretReference } from './secret-reference.ts';
import { LoginRefused } from './vault-errors.ts';
import type { VaultAnswer, VaultRequest } from './vault-http.ts';
import type { VaultAuth } from './vault-settings.ts';

/** A token of Vault, with what is known of its life. */
export interface VaultToken {
  readonly text: string;
  /** From when it was given to its end; absent when it does not end, or nothing is known. */
  readonly ttlMs: number | undefined;
  readonly expiresAt: number;
  readonly isRenewable: boolean;
}

export interface VaultTokenAccess extends SecretAccess {
  /** Sends a request, with a token or without, as often as it takes; other than 2xx, 400, 403 and 404 fail. */
  readonly send: (request: VaultRequest, token?: string) => Promise<VaultAnswer>;
}

/** Takes the token that there is, or logs in. Errors: `LoginRefused`, `BackupError` (`key`, `config`), those of `send`. */
export async function acquireToken(auth: VaultAuth, access: VaultTokenAccess): Promise<VaultToken> {
  switch (auth.method) {
    case 'token':
      return await lookUp(await readToken(access), access);
    case 'approle': {
      const secret = auth.secretId === undefined ? {} : { secret_id: await readLocalSecret(auth.secretId, access) };
      return await logIn(auth, { role_id: auth.roleId, ...secret }, access);
    }
    case 'kubernetes':
    case 'jwt': {
      const role = auth.role === undefined ? {} : { role: auth.role };
      return await logIn(auth, { ...role, jwt: await readLocalSecret(auth.jwt, access) }, access);
    }
  }
}

/** The fields `lease_duration` (0: for ever) and `renewable` of a login or a renewal. */
export function toVaultToken(text: string, ttlSeconds: unknown, isRenewable: unknown): VaultToken {
  const ttlMs = typeof ttlSeconds === 'number' && ttlSeconds > 0 ? ttlSeconds * 1000 : undefined;
  const expiresAt = ttlMs === undefined ? Number.POSITIVE_INFINITY : Date.now() + ttlMs;
  return { text, ttlMs, expiresAt, isRenewable: isRenewable === true };
}

async function readToken({ env, signal }: SecretAccess): Promise<string> {
  const given = (env['VAULT_TOKEN'] ?? '').trim();
  if (given !== '') return assertCredential(given, 'VAULT_TOKEN');
  const path = join(env['HOME'] ?? homedir(), '.vault-token');
  const reference = toFileReference(path);
  try {
    return await readLocalSecret(reference, { env, ...(signal !== undefined && { signal }) });
  } catch (error) {
    throw new BackupError('key', 'there is no Vault token: neither VAULT_TOKEN nor a readable ~/.vault-token', {
      hint: 'Log in with `vault login`, set VAULT_TOKEN, or choose another way with LIBRELOG_BACKUP_VAULT_AUTH.',
      cause: error,
    });
  }
}

/** Tokens without the default policy may not look themselves up; nothing is known of these. */
async function lookUp(text: string, { send }: VaultTokenAccess): Promise<VaultToken> {
  const { status, data } = await send({ method: 'GET', path: 'auth/token/lookup-self' }, text);
  return status === 200 ? toVaultToken(text, data['ttl'], data['renewable']) : toVaultToken(text, 0, false);
}

async function logIn(
  { method, mount }: Exclude<VaultAuth, { method: 'token' }>,
  body: Readonly<Record<string, string>>,
  { send }: VaultTokenAccess,
): Promise<VaultToken> {
  const { auth, errors, status } = await send({ method: 'POST', path: `auth/${mount}/login`, body });
  const token = auth['client_token'];
  if (typeof token === 'string') return toVaultToken(token, auth['lease_duration'], auth['renewable']);
  const reason = errors.length === 0 ? `HTTP ${status}` : errors.join('; ').slice(0, 300);
  throw new LoginRefused(`Vault refuses the login by ${method} at auth/${mount}: ${reason}`);
}

const localSources: Readonly<Record<string, SecretSource>> = {
  env: readVariable,
  file: readSecretFile,
  exec: runSecretCommand,
};

/** Credentials to log in with do not come from Vault. White space around them is not part of them. */
async function readLocalSecret(reference: SecretReference, access: SecretAccess): Promise<string> {
  const read = await localSources[reference.scheme]?.(reference, access);
  if (read === undefined) throw new BackupError('config', `${reference.text} is not a secret of this machine`);
  using secret =
    reference.field === undefined ? read.secret : selectJsonField(read.secret, reference.field, reference.text);
  return assertCredential(secret.revealText().trim(), reference.text);
}

/** Printable ASCII: what such credentials consist of, and what may stand in a header. */
function assertCredential(text: string, name: string): string {
  if (/^[\x21-\x7e]+$/.test(text)) return text;
  throw new BackupError('key', `${name} holds nothing that Vault would take`);
}
