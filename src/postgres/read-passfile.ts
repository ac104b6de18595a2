import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describeError } from '../core/backup-error.ts';
import { findPassword, type PassfileKey } from './passfile.ts';

export interface Passfile {
  readonly warnings: readonly string[];
  find(key: PassfileKey): string | undefined;
}

/**
 * The password file at `path`, or at `~/.pgpass`. Like libpq: one that is missing counts as empty; one that cannot be
 * read, is no regular file, or may be read by others is ignored, here with a warning.
 */
export function readPassfile(path: string | undefined, home: string): Passfile {
  const file = path === undefined || path === '' ? join(home, '.pgpass') : path;
  try {
    const status = statSync(file, { throwIfNoEntry: false });
    if (status === undefined) return emptyPassfile();
    if (!status.isFile()) return emptyPassfile(`password file "${file}" is ignored: it is not a regular file`);
    if ((status.mode & 0o077) !== 0) {
      return emptyPassfile(`password file "${file}" is ignored: others may read it (set its mode to 0600)`);
    }
    const text = readFileSync(file, 'utf8');
    return { warnings: [], find: (key) => findPassword(text, key) ?? undefined };
  } catch (error) {
    return emptyPassfile(`password file "${file}" is ignored: ${describeError(error)}`);
  }
}

function emptyPassfile(...warnings: string[]): Passfile {
  return { warnings, find: () => undefined };
}
