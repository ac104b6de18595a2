import { BackupError } from '../../src/core/backup-error.ts';
import { collect, type ByteStream } from '../../src/core/byte-stream.ts';
import { abortable } from '../../src/storage/abortable.ts';
import { clampRange } from '../../src/storage/byte-range.ts';
import { assertKeyPrefix, assertObjectKey } from '../../src/storage/object-key.ts';
import type {
  GetOptions,
  ObjectStore,
  PutOptions,
  StoredObject,
  UnfinishedUpload,
} from '../../src/storage/object-store.ts';

interface Content {
  readonly bytes: Buffer;
  readonly object: StoredObject;
}

/**
 * A store that keeps whole objects in memory, for tests of what is built on stores. It keeps the whole contract but the
 * bounded memory: a body is held until it has ended, and becomes an object at once.
 */
export class MemoryStore implements ObjectStore {
  readonly url: string = 'memory:';
  readonly hasStableVersions = true;
  readonly #contents = new Map<string, Content>();
  #puts = 0;

  async put(key: string, body: ByteStream, options: PutOptions = {}): Promise<StoredObject> {
    assertObjectKey(key);
    options.signal?.throwIfAborted();
    if (options.createOnly === true) this.#assertAbsent(key);
    const bytes = await collect(abortable(body, options.signal), Number.POSITIVE_INFINITY);
    options.signal?.throwIfAborted();
    if (options.createOnly === true) this.#assertAbsent(key);
    this.#puts += 1;
    const object = { key, sizeBytes: bytes.byteLength, modifiedAt: new Date(), version: String(this.#puts) };
    this.#contents.set(key, { bytes, object });
    return object;
  }

  async *get(key: string, options: GetOptions = {}): ByteStream {
    assertObjectKey(key);
    options.signal?.throwIfAborted();
    const content = this.#contents.get(key);
    if (content === undefined) throw new BackupError('notFound', `there is no object "${key}" in "${this.url}"`);
    if (options.version !== undefined && options.version !== content.object.version) {
      throw new BackupError('integrity', `"${key}" in "${this.url}" has changed since it was looked up`);
    }
    const range = clampRange(options, content.bytes.byteLength);
    for (let start = range.start; start < range.end; start += chunkBytes) {
      options.signal?.throwIfAborted();
      yield Buffer.from(content.bytes.subarray(start, Math.min(start + chunkBytes, range.end)));
    }
  }

  async head(key: string, options: { readonly signal?: AbortSignal } = {}): Promise<StoredObject | null> {
    assertObjectKey(key);
    options.signal?.throwIfAborted();
    return this.#contents.get(key)?.object ?? null;
  }

  async *list(prefix: string, options: { readonly signal?: AbortSignal } = {}): AsyncGenerator<StoredObject> {
    assertKeyPrefix(prefix);
    for (const { object } of this.#contents.values()) {
      options.signal?.throwIfAborted();
      if (object.key.startsWith(prefix)) yield object;
    }
  }

  async delete(keys: readonly string[], options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    options.signal?.throwIfAborted();
    for (const key of keys) {
      assertObjectKey(key);
      this.#contents.delete(key);
    }
  }

  /** What is not an object yet is with its `put` alone. */
  async *listUnfinished(prefix: string): AsyncGenerator<UnfinishedUpload> {
    assertKeyPrefix(prefix);
    yield* [];
  }

  async discardUnfinished(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}

  #assertAbsent(key: string): void {
    if (!this.#contents.has(key)) return;
    throw new BackupError('conflict', `cannot store "${key}" in "${this.url}": it is there already`);
  }
}

const chunkBytes = 64 * 1024;
