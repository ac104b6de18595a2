import { BackupError } from '../core/backup-error.ts';
import { Secret } from '../core/secret.ts';
import type { SecretAccess, SecretRead } from './read-secret.ts';
import { refuseVersion } from './secret-reference.ts';
import type { SecretReference } from './secret-reference.ts';

/** `env:NAME`. */
export async function readVariable(reference: SecretReference, { env }: SecretAccess): Promise<SecretRead> {
  refuseVersion(reference);
  const value = env[reference.location];
  if (value === undefined) {
    throw new BackupError('key', `cannot read secret ${reference.text}: there is no such environment variable`);
  }
  return await Promise.resolve({ secret: Secret.fromText(value), warnings: [] });
}
