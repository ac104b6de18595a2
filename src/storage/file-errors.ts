import { BackupError, describeError, type BackupErrorOptions } from '../core/backup-error.ts';
import type { Meaning } from '../core/meaning.ts';
import { errorCode } from '../core/error-code.ts';

/** Whether the error says that there is no such file: the name, or a folder on the way to it, is missing. */
export function isMissing(error: unknown): boolean {
  const code = errorCode(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}

const full: Meaning = {
  kind: 'storage',
  reason: 'the store is full',
  hint: 'Free space in the store, or raise its quota, and run the backup again.',
};
const denied: Meaning = {
  kind: 'access',
  reason: 'permission denied',
  hint: 'Give the user that runs librelog-backup the right to use the folder.',
};

const folderInTheWay: Meaning = { kind: 'storage', reason: 'a folder of that name is in the way' };

const translations: ReadonlyMap<string, Meaning> = new Map<string, Meaning>(
  Object.entries({
    ENOSPC: full,
    EDQUOT: full,
    EACCES: denied,
    EPERM: denied,
    EROFS: { kind: 'access', reason: 'the file system is read-only', hint: 'Mount it writable.' },
    EFBIG: {
      kind: 'storage',
      reason: 'the file is larger than the file system or the limit of the process allows',
      hint: 'Use a file system without that limit, or raise it (ulimit -f).',
    },
    EISDIR: folderInTheWay,
    ENOTEMPTY: folderInTheWay,
    EIO: { kind: 'storage', reason: 'input/output error', hint: 'Check the disk.' },
    ELOOP: {
      kind: 'access',
      reason: 'there is a symbolic link, and links inside a store are not followed',
      hint: 'Replace the link, or make its target the store.',
    },
  }),
);

/** What a failed file operation means; `action` says what was tried: `store "x" in "file:///backups"`. */
export function toFileError(error: unknown, action: string): BackupError {
  if (error instanceof BackupError) return error;
  const { kind, reason, hint } = translations.get(errorCode(error)) ?? {
    kind: 'storage',
    reason: describeError(error),
  };
  const options: BackupErrorOptions = { hint, cause: error };
  return new BackupError(kind, `cannot ${action}: ${reason}`, options);
}
