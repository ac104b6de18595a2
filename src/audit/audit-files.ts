import { lstat, readdir } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { toAuditError } from './audit-errors.ts';
import { errorCode } from '../core/error-code.ts';

const sequenceDigits = 12;

/** Name of a file that is full: `audit.jsonl` becomes `audit.000000000420.jsonl`, after its last entry's sequence. */
export function rotatedPath(path: string, lastSequence: number): string {
  const extension = extname(path);
  const stem = basename(path, extension);
  return join(dirname(path), `${stem}.${String(lastSequence).padStart(sequenceDigits, '0')}${extension}`);
}

/** Paths of the full files of a log, oldest first. None when there is no such folder. */
export async function listRotatedFiles(path: string): Promise<string[]> {
  const extension = extname(path);
  const stem = basename(path, extension);
  const names = await readFolder(dirname(path));
  return names
    .filter((name) => {
      const middle = name.slice(stem.length + 1, name.length - extension.length);
      return name === `${stem}.${middle}${extension}` && /^\d{12}$/.test(middle);
    })
    .toSorted()
    .map((name) => join(dirname(path), name));
}

async function readFolder(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw toAuditError(error, `list audit log in "${folder}"`);
  }
}

export async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw toAuditError(error, `look for audit log "${path}"`);
  }
}
