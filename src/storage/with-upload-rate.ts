import { setTimeout as sleep } from 'node:timers/promises';
import { BackupError } from '../core/backup-error.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import type { ObjectStore } from './object-store.ts';

/** What may come at once: enough not to wait for every chunk. */
const burstMs = 250;

/**
 * The same store, whose puts take their bodies no faster than `bytesPerSecond`, all of them together. What a put sends follows what it
 * takes, behind the parts that it holds in memory. Fails with `config` for a rate that is none.
 */
export function withUploadRate(store: ObjectStore, bytesPerSecond: number): ObjectStore {
  if (!(bytesPerSecond > 0)) throw new BackupError('config', 'an upload rate of 0 would never end');
  const rate: Rate = { bytesPerSecond, dueMs: 0 };
  return {
    url: store.url,
    hasStableVersions: store.hasStableVersions,
    put: async (key, body, options) => await store.put(key, throttle(body, rate, options?.signal), options),
    get: (key, options) => store.get(key, options),
    head: async (key, options) => await store.head(key, options),
    list: (prefix, options) => store.list(prefix, options),
    delete: async (keys, options) => await store.delete(keys, options),
    listUnfinished: (prefix, options) => store.listUnfinished(prefix, options),
    discardUnfinished: async (uploads, options) => await store.discardUnfinished(uploads, options),
    [Symbol.asyncDispose]: async () => await store[Symbol.asyncDispose](),
  };
}

interface Rate {
  readonly bytesPerSecond: number;
  /** When what was taken so far may have been taken, by the monotonic clock. */
  dueMs: number;
}

/** Who was slow for a while may not catch up: the allowance never grows beyond `burstMs`. */
async function* throttle(source: ByteStream, rate: Rate, signal: AbortSignal | undefined): ByteStream {
  for await (const chunk of source) {
    yield chunk;
    const earliestMs = performance.now() - burstMs;
    rate.dueMs = Math.max(rate.dueMs, earliestMs) + (chunk.byteLength * 1000) / rate.bytesPerSecond;
    const waitMs = rate.dueMs - performance.now();
    if (waitMs > 0) await sleep(waitMs, undefined, signal === undefined ? {} : { signal });
  }
}
