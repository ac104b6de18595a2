import { BackupError } from '../core/backup-error.ts';
import type { KeyWrapper } from '../core/key-wrapper.ts';
import type { SecretAccess } from './read-secret.ts';
import type { WrapperReference } from './secret-reference.ts';

export async function openKeyWrapper(reference: WrapperReference, _access: SecretAccess): Promise<KeyWrapper> {
  throw new BackupError('config', `key references of scheme "${reference.scheme}:" are not supported by this version`);
}
