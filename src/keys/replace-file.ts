import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { BackupError, describeError } from '../core/backup-error.ts';
import type { Secret } from '../core/secret.ts';
import { syncFolder } from '../files/sync-folder.ts';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Replaces a file by a new one of mode 0600 and the same owner, and returns when it is on the disk. Whatever happens, the
 * path has the old content or the new one, whole. One caller at a time: what a killed one has left is removed first. Fails
 * with `key` when it cannot be written.
 */
export async function replaceFile(path: string, content: Secret, owner: Owner): Promise<void> {
  const partial = join(dirname(path), `.${basename(path)}.partial`);
  try {
    await rm(partial, { force: true });
    await writePartial(partial, content, owner);
    await rename(partial, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(partial, { force: true });
    throw new BackupError('key', `cannot write file "${path}": ${describeError(error)}`, { cause: error });
  }
}

async function writePartial(path: string, content: Secret, { uid, gid }: Owner): Promise<void> {
  await using file = await open(path, 'wx', 0o600);
  if (uid !== process.getuid?.()) await file.chown(uid, gid);
  await file.writeFile(content.reveal());
  await file.sync();
}
