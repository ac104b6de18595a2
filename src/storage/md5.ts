import { createHash, type Hash } from 'node:crypto';
import { BackupError } from '../core/backup-error.ts';

/**
 * The digest that stores check what they are sent with: it is no protection, and asked for by their protocols. A machine
 * in FIPS mode refuses it: `config`.
 */
export function createMd5(): Hash {
  try {
    return createHash('md5');
  } catch (error) {
    throw new BackupError(
      'config',
      'this machine refuses MD5 (FIPS mode), with which the store checks what it is sent',
      {
        hint: 'Use a store or settings that do without, which docs/stores.md names.',
        cause: error,
      },
    );
  }
}

/** For what is known to need it: fails at once, instead of at the first request. */
export function assertMd5Allowed(): void {
  createMd5();
}

export function md5Of(bytes: Uint8Array | string): string {
  return createMd5().update(bytes).digest('base64');
}

export function isMd5Allowed(): boolean {
  try {
    createHash('md5');
    return true;
  } catch {
    return false;
  }
}
