import { lstat, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { BackupError } from '../core/backup-error.ts';
import { isPartialName, nameOfPartial, removeFoldersOf } from './file-commit.ts';
import { isMissing } from './file-errors.ts';
import { walkFolders } from './file-walk.ts';
import { isObjectKey } from './object-key.ts';
import type { UnfinishedUpload } from './object-store.ts';

/** The temporary files below a store's root; the id of each is its path there. */
export async function* listPartialFiles(root: string, prefix: string): AsyncGenerator<UnfinishedUpload> {
  for await (const { base, names } of walkFolders(root, prefix)) {
    for (const name of names.filter(isPartialName)) {
      const key = base + nameOfPartial(name);
      const lastActiveAt = await lastWritten(join(root, base, name));
      if (lastActiveAt !== null && isObjectKey(key) && key.startsWith(prefix)) {
        yield { key, id: base + name, lastActiveAt };
      }
    }
  }
}

/** `null`: gone meanwhile. */
async function lastWritten(path: string): Promise<Date | null> {
  try {
    return (await lstat(path)).mtime;
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

/** Removes the file and the folders that are empty then. */
export async function removePartialFile(root: string, { id }: UnfinishedUpload): Promise<void> {
  if (!isObjectKey(id) || !isPartialName(basename(id))) {
    throw new BackupError('bug', `${JSON.stringify(id)} is not an unfinished file`);
  }
  await rm(join(root, dirname(id), basename(id)), { force: true });
  await removeFoldersOf(root, id);
}
