import { open, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { BackupError, describeError } from '../core/backup-error.ts';
import { syncFolder } from '../files/sync-folder.ts';

/**
 * Writes a new file of exactly this mode, and returns when it is on the disk. Fails with `conflict` when the path exists
 * (keys are never overwritten) and with `key` when it cannot be written; then nothing is left.
 */
export async function writeNewFile(path: string, content: string | Uint8Array, mode: number): Promise<void> {
  const file = await createFile(path, mode);
  try {
    await writeDurably(file, content);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(path, { force: true });
    throw cannotWrite(path, error);
  }
}

async function createFile(path: string, mode: number): Promise<FileHandle> {
  try {
    return await open(path, 'wx', mode);
  } catch (error) {
    const exists = error instanceof Error && 'code' in error && error.code === 'EEXIST';
    if (!exists) throw cannotWrite(path, error);
    throw new BackupError('conflict', `file "${path}" exists already`, {
      hint: 'Choose another path; keys are never overwritten.',
      cause: error,
    });
  }
}

async function writeDurably(file: FileHandle, content: string | Uint8Array): Promise<void> {
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

function cannotWrite(path: string, error: unknown): BackupError {
  return new BackupError('key', `cannot write file "${path}": ${describeError(error)}`, { cause: error });
}
