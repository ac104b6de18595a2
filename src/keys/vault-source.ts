import { BackupError } from '../core/backup-error.ts';
import { Secret } from '../core/secret.ts';
import { selectJsonField } from './json-field.ts';
import type { SecretAccess, SecretRead } from './read-secret.ts';
import type { SecretReference } from './secret-reference.ts';
import { openVaultClient, type VaultClient } from './vault-client.ts';
import { toRecord, type VaultAnswer } from './vault-http.ts';

/** A reference, and what it is asked of. */
export interface VaultSecretRequest {
  readonly reference: SecretReference;
  readonly client: VaultClient;
  readonly action: string;
  readonly signal: AbortSignal | undefined;
}

export interface Mount {
  /** With a slash at its end. */
  readonly path: string;
  /** KV version 2. */
  readonly isVersioned: boolean;
}

interface Found {
  readonly data: Readonly<Record<string, unknown>>;
  readonly version?: string;
  readonly createdAt?: Date;
}

/**
 * `vault:MOUNT/PATH`: a secret of a KV secrets engine, of either version, as the JSON text of its fields; without a
 * field in the reference, the value of its only one. Which part of the path is the mount, and of which version, Vault
 * says itself, as to its own command line. Needs `read` on MOUNT/PATH (version 1) or MOUNT/data/PATH.
 */
export async function readVaultSecret(reference: SecretReference, access: SecretAccess): Promise<SecretRead> {
  const client = await openVaultClient(access.env);
  const action = `read secret ${reference.text}`;
  const request: VaultSecretRequest = { reference, client, action, signal: access.signal };
  const mount = await findMount(request);
  const { data, version, createdAt } = mount.isVersioned
    ? await readVersioned(request, mount)
    : await readPlain(request, mount);
  return {
    secret: toSecret(data, reference),
    ...(version !== undefined && { version }),
    ...(createdAt !== undefined && { createdAt }),
    warnings: describeWarnings(access.env['VAULT_ADDR']),
  };
}

/** sys/internal/ui/mounts: what any token may know of a mount in which it may do something. */
export async function findMount({ client, action, signal, reference }: VaultSecretRequest): Promise<Mount> {
  const path = `sys/internal/ui/mounts/${reference.location}`;
  const { data, status } = await client.call({ action, signal, method: 'GET', path });
  const { path: mountPath, type, options } = data;
  if (status !== 200 || typeof mountPath !== 'string' || !`${reference.location}/`.startsWith(mountPath)) {
    throw new BackupError('key', `cannot ${action}: Vault does not say what is mounted there`);
  }
  if (type !== 'kv' && type !== 'generic') {
    throw new BackupError('config', `cannot ${action}: "${mountPath}" is not a KV secrets engine`);
  }
  if (reference.location.length < mountPath.length + 1) {
    throw new BackupError('config', `cannot ${action}: "${mountPath}" is a mount, not a secret in it`);
  }
  return { path: mountPath, isVersioned: toRecord(options)['version'] === '2' };
}

async function readPlain({ client, action, signal, reference }: VaultSecretRequest, { path }: Mount): Promise<Found> {
  if (reference.version !== undefined) {
    throw new BackupError('key', `cannot ${action}: "${path}" is a KV engine of version 1, which keeps no versions`);
  }
  const answer = await client.call({ action, signal, method: 'GET', path: reference.location });
  if (answer.status === 200) return { data: answer.data };
  throw describeAbsence(action, answer);
}

async function readVersioned(request: VaultSecretRequest, { path }: Mount): Promise<Found> {
  const { client, action, signal, reference } = request;
  const { version } = reference;
  if (version !== undefined && !/^[1-9]\d{0,8}$/.test(version)) {
    throw new BackupError('config', `cannot ${action}: versions of Vault secrets are numbers`);
  }
  const name = reference.location.slice(path.length);
  const query = version === undefined ? {} : { version };
  const answer = await client.call({ action, signal, method: 'GET', path: `${path}data/${name}`, query });
  const metadata = toRecord(answer.data['metadata']);
  if (answer.status !== 200) throw describeAbsence(action, answer, version);
  const isWanted = version === undefined || String(metadata['version']) === version;
  const createdAt = toTime(metadata['created_time']);
  if (isWanted) {
    const data = toRecord(answer.data['data']);
    return { data, version: String(metadata['version']), ...(createdAt !== null && { createdAt }) };
  }
  throw new BackupError('key', `cannot ${action}: Vault has given version ${String(metadata['version'])}`);
}

/** RFC 3339, with nanoseconds. */
export function toTime(text: unknown): Date | null {
  const time = new Date(typeof text === 'string' ? text : '');
  return Number.isNaN(time.getTime()) ? null : time;
}

/** Vault answers 404 with the metadata of a version that is gone, and with nothing when there never was one. */
function describeAbsence(action: string, { data, status, errors }: VaultAnswer, version?: string): BackupError {
  if (status !== 404) return new BackupError('key', `cannot ${action}: ${errors.join('; ') || `HTTP ${status}`}`);
  const { version: found, destroyed, deletion_time: deletedAt } = toRecord(data['metadata']);
  if (destroyed === true) return new BackupError('key', `cannot ${action}: version ${String(found)} is destroyed`);
  if (typeof deletedAt === 'string' && deletedAt !== '') {
    return new BackupError('key', `cannot ${action}: version ${String(found)} was deleted at ${deletedAt}`, {
      hint: 'Undelete the version with `vault kv undelete`, or name another one.',
    });
  }
  const what = version === undefined ? 'secret' : 'secret or version';
  return new BackupError('key', `cannot ${action}: there is no such ${what}`, {
    hint: 'Write vault:MOUNT/PATH as `vault kv get MOUNT/PATH` takes it, without "data/".',
  });
}

export function toSecret(data: Readonly<Record<string, unknown>>, { field, text }: SecretReference): Secret {
  const whole = Secret.fromText(JSON.stringify(data));
  if (field !== undefined) return whole;
  const fields = Object.keys(data).toSorted();
  const [only, ...more] = fields;
  if (only !== undefined && more.length === 0) return selectJsonField(whole, only, text);
  whole[Symbol.dispose]();
  throw new BackupError('key', `secret ${text} has ${fields.length} fields: ${fields.join(', ') || 'none'}`, {
    hint: 'Name one of them after "#".',
  });
}

function describeWarnings(address = ''): string[] {
  const { protocol, hostname } = new URL(address);
  const isLocal = hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.');
  return protocol === 'https:' || isLocal ? [] : ['VAULT_ADDR is not https: secrets and token can be read on the way'];
}
