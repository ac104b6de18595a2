import { BackupError } from '../core/backup-error.ts';
import type { Secret } from '../core/secret.ts';
import { selectJsonField } from './json-field.ts';
import type { SecretReference, SecretScheme } from './secret-reference.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** What reading a secret needs from the outside. */
export interface SecretAccess {
  readonly env: Environment;
  readonly signal?: AbortSignal;
}

export interface SecretRead {
  /** The bytes as they are kept, a trailing newline included. The caller disposes of it. */
  readonly secret: Secret;
  /** The version that the source gave it, where it keeps versions: asking for it gives the same bytes again. */
  readonly version?: string;
  /** When that version was made, where the source says. */
  readonly createdAt?: Date;
  /** One sentence each, for the log; not about content. */
  readonly warnings: readonly string[];
}

/**
 * One kind of place that keeps secrets. Fetches the whole secret of a reference (its `version`, or the newest one); the
 * `field` is taken by the caller. Fails with `key`, naming the reference and never the value, when the secret, its
 * version or the permission is missing, or when the place does not answer in time; transient faults are retried inside.
 * Fails with `config` when a setting of the place is missing or wrong. The signal's reason is thrown as it is.
 */
export type SecretSource = (reference: SecretReference, access: SecretAccess) => Promise<SecretRead>;

const sources = {
  env: async () => (await import('./env-source.ts')).readVariable,
  file: async () => (await import('./file-source.ts')).readSecretFile,
  'aws-sm': async () => (await import('./aws-secret-source.ts')).readAwsSecret,
  'azure-kv': async () => (await import('./azure-secret-source.ts')).readAzureSecret,
  'gcp-sm': async () => (await import('./gcp-secret-source.ts')).readGcpSecret,
  exec: async () => (await import('./exec-source.ts')).runSecretCommand,
  vault: async () => (await import('./vault-source.ts')).readVaultSecret,
} as const satisfies Record<SecretScheme, () => Promise<SecretSource>>;

/**
 * Fetches a secret, or the field of it that the reference names. Fails with `key`, naming the reference, when it is
 * missing, unreadable, empty or larger than 1 MiB, or has no such field; with `config` when its place is not set up.
 */
export async function readSecret(reference: SecretReference, access: SecretAccess): Promise<SecretRead> {
  access.signal?.throwIfAborted();
  const source: SecretSource = await sources[reference.scheme]();
  const read = await source(reference, access);
  const secret =
    reference.field === undefined ? read.secret : selectJsonField(read.secret, reference.field, reference.text);
  if (secret.sizeBytes === 0) throw new BackupError('key', `secret ${reference.text} is empty`);
  return { ...read, secret };
}
