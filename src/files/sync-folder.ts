import { open } from 'node:fs/promises';
import { errorCode } from '../core/error-code.ts';

/** What `fsync` of a folder answers where only the file system's own journal can do it, or we may not read the folder. */
const withoutFolderSync = new Set(['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'EPERM', 'EBADF', 'EISDIR', 'EACCES']);

/** Makes the names in a folder durable, where the file system can. */
export async function syncFolder(path: string): Promise<void> {
  try {
    await using handle = await open(path, 'r');
    await handle.sync();
  } catch (error) {
    if (!withoutFolderSync.has(errorCode(error))) throw error;
  }
}
