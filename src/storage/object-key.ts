import { BackupError } from '../core/backup-error.ts';

/** Longest key in UTF-8 bytes, S3's limit; the store's prefix comes out of it too. */
const maxKeyBytes = 1024;

/**
 * Whether every store can keep an object under this key: relative, `/`-separated, no empty, `.` or `..` segment, no
 * control character, well-formed Unicode, at most 1,024 bytes.
 */
export function isObjectKey(key: string): boolean {
  if (key === '' || !key.isWellFormed() || Buffer.byteLength(key) > maxKeyBytes || hasControlCharacter(key))
    return false;
  return key.split('/').every((segment) => segment !== '' && segment !== '.' && segment !== '..');
}

/** Fails with `bug` unless `isObjectKey`: keys are made by this program, so a wrong one is its own mistake. */
export function assertObjectKey(key: string): void {
  if (!isObjectKey(key)) throw new BackupError('bug', `${JSON.stringify(key)} is not an object key`);
}

/** Fails with `bug` when no key can start with `prefix`. */
export function assertKeyPrefix(prefix: string): void {
  if (prefix !== '' && !isObjectKey(`${prefix}x`)) {
    throw new BackupError('bug', `${JSON.stringify(prefix)} is not the beginning of an object key`);
  }
}

/** Whether the text holds a control character or a line separator: neither XML nor a terminal takes them well. */
export function hasControlCharacter(text: string): boolean {
  return /[\p{Cc}\u2028\u2029]/u.test(text);
}
