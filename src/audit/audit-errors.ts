import { BackupError, describeError, type ErrorKind } from '../core/backup-error.ts';
import { errorCode } from '../core/error-code.ts';

interface Meaning {
  readonly kind: ErrorKind;
  readonly reason: string;
  readonly hint: string;
}

const full: Meaning = {
  kind: 'storage',
  reason: 'the disk is full',
  hint: 'Free space where the audit log is, or move it with --audit-file.',
};
const denied: Meaning = {
  kind: 'access',
  reason: 'permission denied',
  hint: 'Give the user that runs librelog-backup the right to use its folder, or move it with --audit-file.',
};
const notAFile: Meaning = {
  kind: 'config',
  reason: 'it is not a file',
  hint: 'Name a file, not a folder or a link, with --audit-file.',
};

const meanings: ReadonlyMap<string, Meaning> = new Map(
  Object.entries({
    ENOSPC: full,
    EDQUOT: full,
    EFBIG: { ...full, reason: 'the file is larger than the limit of the process or the file system allows' },
    EACCES: denied,
    EPERM: denied,
    EROFS: { ...denied, reason: 'the file system is read-only' },
    EISDIR: notAFile,
    // Of mkdir.
    EEXIST: { ...notAFile, reason: 'a part of its path is not a folder' },
    ENOTDIR: { ...notAFile, reason: 'a part of its path is not a folder' },
    ELOOP: { ...notAFile, reason: 'it is a symbolic link' },
  }),
);

/**
 * What a failed operation on the files of the log means: `storage` (full, input/output error; trying again may help),
 * `access` (denied, read-only), `config` (the path cannot be a log).
 */
export function toAuditError(error: unknown, action: string): BackupError {
  if (error instanceof BackupError) return error;
  const meaning = meanings.get(errorCode(error));
  const reason = meaning?.reason ?? describeError(error);
  return new BackupError(meaning?.kind ?? 'storage', `cannot ${action}: ${reason}`, {
    hint: meaning?.hint,
    cause: error,
  });
}
