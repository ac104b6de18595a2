import { BackupError } from '../core/backup-error.ts';
import type { SecretReference, WrapperReference } from './secret-reference.ts';

/** Keys are looked after whole: fails with `usage` when the reference names one version. */
export function refusePinnedKey({ text, version }: SecretReference | WrapperReference): void {
  if (version === undefined) return;
  throw new BackupError('usage', `${text} names one version of a key, and all of them are looked after together`, {
    hint: 'Leave out "@" and what follows it.',
  });
}
