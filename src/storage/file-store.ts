import type { BigIntStats } from 'node:fs';
import { lstat, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { BackupError } from '../core/backup-error.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import { abortable } from './abortable.ts';
import { clampRange } from './byte-range.ts';
import { assertFinalName, assertRoot, hasFolders, isPartialName, removeFoldersOf } from './file-commit.ts';
import { isMissing, toFileError } from './file-errors.ts';
import { putFile } from './file-put.ts';
import { openFile, readFileRange, versionOf } from './file-reader.ts';
import { listPartialFiles, removePartialFile } from './file-unfinished.ts';
import { walkFolders } from './file-walk.ts';
import { assertKeyPrefix, assertObjectKey, isObjectKey } from './object-key.ts';
import type { GetOptions, ObjectStore, PutOptions, StoredObject, UnfinishedUpload } from './object-store.ts';

/**
 * Objects as files below the folder `root`, readable by their owner only. An object is written under a temporary name
 * beside its own, flushed to the disk and renamed. `root` itself is made by the first `put` if the folder above it is
 * there: a missing one may be a file system that is not mounted. Links below `root` are not followed, and a link is no
 * object. A key cannot be a folder of another key (`a` beside `a/b`). Memory: 4 MiB for each `put`, 2 MiB and the
 * consumer's chunk for each `get`. `url` is the address as the user gave it.
 */
export function openFileStore(root: string, url: string): ObjectStore {
  return new FileStore(root, url);
}

class FileStore implements ObjectStore {
  readonly url: string;
  /** Inode numbers are this machine's alone. */
  readonly hasStableVersions = false;
  readonly #root: string;

  constructor(root: string, url: string) {
    this.#root = root;
    this.url = url;
  }

  async put(key: string, body: ByteStream, options: PutOptions = {}): Promise<StoredObject> {
    assertObjectKey(key);
    assertFinalName(key);
    options.signal?.throwIfAborted();
    const stats = await putFile({
      root: this.#root,
      key,
      body: abortable(body, options.signal),
      createOnly: options.createOnly ?? false,
      action: `store ${this.#describe(key)}`,
    });
    return describeFile(key, stats);
  }

  async *get(key: string, options: GetOptions = {}): ByteStream {
    assertObjectKey(key);
    const action = `read ${this.#describe(key)}`;
    const handle = await this.#open(key).catch(rethrowAs(action));
    try {
      const opened = await handle.stat({ bigint: true });
      if (!opened.isFile()) throw await this.#notFound(key);
      this.#assertVersion(key, opened, options.version);
      const range = clampRange(options, Number(opened.size));
      yield* abortable(readFileRange(handle, range, this.#describe(key)), options.signal);
      // A replacement is another file, and we go on reading the old one; a change in place is seen only here.
      this.#assertVersion(key, await handle.stat({ bigint: true }), versionOf(opened));
    } catch (error) {
      options.signal?.throwIfAborted();
      throw toFileError(error, action);
    } finally {
      await handle.close();
    }
  }

  async head(key: string, options: { readonly signal?: AbortSignal } = {}): Promise<StoredObject | null> {
    assertObjectKey(key);
    options.signal?.throwIfAborted();
    try {
      const stats = await this.#stat(key);
      if (stats === null) await assertRoot(this.#root);
      return stats === null ? null : describeFile(key, stats);
    } catch (error) {
      throw toFileError(error, `look at ${this.#describe(key)}`);
    }
  }

  async *list(prefix: string, options: { readonly signal?: AbortSignal } = {}): AsyncGenerator<StoredObject> {
    assertKeyPrefix(prefix);
    try {
      await assertRoot(this.#root);
      for await (const { base, names } of walkFolders(this.#root, prefix)) {
        const finished = names.filter((name) => !isPartialName(name)).map((name) => base + name);
        const keys = finished.filter((key) => key.startsWith(prefix) && isObjectKey(key));
        const stats = await Promise.all(keys.map(async (key) => await this.#stat(key)));
        options.signal?.throwIfAborted();
        for (const [index, key] of keys.entries()) {
          const found = stats[index];
          if (found) yield describeFile(key, found);
        }
      }
    } catch (error) {
      options.signal?.throwIfAborted();
      throw toFileError(error, `list "${this.url}"`);
    }
  }

  async delete(keys: readonly string[], options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    for (const key of keys) {
      assertObjectKey(key);
      options.signal?.throwIfAborted();
      await this.#deleteOne(key).catch(rethrowAs(`delete ${this.#describe(key)}`));
    }
  }

  async *listUnfinished(
    prefix: string,
    options: { readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<UnfinishedUpload> {
    assertKeyPrefix(prefix);
    options.signal?.throwIfAborted();
    try {
      await assertRoot(this.#root);
      yield* listPartialFiles(this.#root, prefix);
    } catch (error) {
      throw toFileError(error, `list the unfinished files of "${this.url}"`);
    }
  }

  async discardUnfinished(
    uploads: readonly UnfinishedUpload[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    for (const upload of uploads) {
      options.signal?.throwIfAborted();
      const action = `discard the unfinished file of ${this.#describe(upload.key)}`;
      await removePartialFile(this.#root, upload).catch(rethrowAs(action));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async #open(key: string): Promise<FileHandle> {
    try {
      if ((await this.#stat(key)) !== null) return await openFile(join(this.#root, key));
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
    throw await this.#notFound(key);
  }

  /** `null` unless there is a file that links do not lead to. */
  async #stat(key: string): Promise<BigIntStats | null> {
    if (isPartialName(key.split('/').at(-1) ?? '')) return null;
    if (!(await hasFolders(this.#root, key.split('/').slice(0, -1)))) return null;
    try {
      const stats = await lstat(join(this.#root, key), { bigint: true });
      return stats.isFile() ? stats : null;
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
  }

  async #deleteOne(key: string): Promise<void> {
    if ((await this.#stat(key)) === null) return;
    try {
      await unlink(join(this.#root, key));
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
    await removeFoldersOf(this.#root, key);
  }

  async #notFound(key: string): Promise<BackupError> {
    await assertRoot(this.#root);
    return new BackupError('notFound', `there is no object ${this.#describe(key)}`);
  }

  #assertVersion(key: string, stats: BigIntStats, wanted: string | undefined): void {
    if (wanted === undefined || versionOf(stats) === wanted) return;
    throw new BackupError('integrity', `${this.#describe(key)} has changed since it was looked up`);
  }

  #describe(key: string): string {
    return `"${key}" in "${this.url}"`;
  }
}

function describeFile(key: string, stats: BigIntStats): StoredObject {
  return { key, sizeBytes: Number(stats.size), modifiedAt: stats.mtime, version: versionOf(stats) };
}

function rethrowAs(action: string): (error: unknown) => never {
  return (error) => {
    throw toFileError(error, action);
  };
}
