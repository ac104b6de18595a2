import { constants, type BigIntStats } from 'node:fs';
import { open, rm, rmdir, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { BackupError } from '../core/backup-error.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import { errorCode } from '../core/error-code.ts';
import {
  assertRoot,
  kindOf,
  makeFolder,
  makeFolders,
  partialPath,
  publishNew,
  publishReplacing,
  removeFoldersOf,
} from './file-commit.ts';
import { toFileError } from './file-errors.ts';
import { FileWriter } from './file-writer.ts';

export interface FilePut {
  readonly root: string;
  readonly key: string;
  readonly body: ByteStream;
  readonly createOnly: boolean;
  /** What is being done, for messages: `store "a/b" in "file:///backups"`. */
  readonly action: string;
}

/**
 * Writes `body` to the file of `key` below `root`: temporary file, flush, rename or link, flush of the folder. Whatever
 * fails, the temporary file and the folders on the way that are empty are removed again, and `root` if it was made here.
 */
export async function putFile(put: FilePut): Promise<BigIntStats> {
  const madeRoot = await translated(put, async () => await makeRoot(put));
  try {
    const partial = await translated(put, async () => await createPartial(put));
    return await fillAndPublish(put, partial);
  } catch (error) {
    // Of several puts at once, the last one to fail finds folders empty that another one has made.
    await removeFoldersOf(put.root, put.key).catch(() => {});
    if (madeRoot) await rmdir(put.root).catch(() => {});
    throw error;
  }
}

interface Partial {
  readonly path: string;
  readonly handle: FileHandle;
}

async function createPartial(put: FilePut): Promise<Partial> {
  const target = join(put.root, put.key);
  if (put.createOnly && (await kindOf(target)) !== 'missing') throw alreadyThere(put);
  // Somebody who deletes the last object of a folder removes the folder, possibly just before we use it.
  for (let attempt = 1; ; attempt++) {
    await makeRoot(put);
    const path = partialPath(target);
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    try {
      await makeFolders(put.root, put.key.split('/').slice(0, -1));
      return { path, handle: await open(path, flags, 0o600) };
    } catch (error) {
      if (errorCode(error) !== 'ENOENT' || attempt === 5) throw error;
    }
  }
}

/** `false`: it was there already. */
async function makeRoot(put: FilePut): Promise<boolean> {
  try {
    if (await makeFolder(put.root)) return true;
    await assertRoot(put.root);
    return false;
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    throw new BackupError('notFound', `cannot ${put.action}: the folder "${dirname(put.root)}" does not exist`, {
      hint: 'Create it, or check that its file system is mounted.',
      cause: error,
    });
  }
}

async function fillAndPublish(put: FilePut, partial: Partial): Promise<BigIntStats> {
  try {
    const stats = await fill(put, partial.handle);
    await translated(put, async () => await publish(put, partial.path));
    return stats;
  } catch (error) {
    await rm(partial.path, { force: true }).catch(() => {});
    throw error;
  }
}

/** Writes the body and makes it durable; closes the handle in any case. A failure of the body stays what it is. */
async function fill(put: FilePut, handle: FileHandle): Promise<BigIntStats> {
  const writer = new FileWriter(handle);
  try {
    for await (const chunk of put.body) await translated(put, async () => await writer.write(chunk));
    return await translated(put, async () => {
      await writer.finish();
      await handle.sync();
      return await handle.stat({ bigint: true });
    });
  } finally {
    await writer.settle();
    // What can fail in closing has been seen by then: everything is flushed, or another failure is on its way.
    await handle.close().catch(() => {});
  }
}

async function publish(put: FilePut, partial: string): Promise<void> {
  const target = join(put.root, put.key);
  if (!put.createOnly) {
    await publishReplacing(partial, target);
  } else if (!(await publishNew(partial, target))) {
    throw alreadyThere(put);
  }
}

function alreadyThere(put: FilePut): BackupError {
  return new BackupError('conflict', `cannot ${put.action}: it is there already`);
}

async function translated<T>(put: FilePut, operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (error) {
    throw toFileError(error, put.action);
  }
}
