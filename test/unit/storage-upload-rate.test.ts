import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ByteStream } from '../../src/core/byte-stream.ts';
import { withUploadRate } from '../../src/storage/with-upload-rate.ts';
import { MemoryStore } from '../support/memory-store.ts';
import { readAll } from '../support/test-bytes.ts';

async function* chunks(count: number): ByteStream {
  for (let index = 0; index < count; index += 1) yield Buffer.alloc(1000, index);
}

describe('withUploadRate', () => {
  it('takes a body no faster than the rate, and stores all of it', async () => {
    await using store = withUploadRate(new MemoryStore(), 20_000);
    const startedAt = performance.now();
    await store.put('a', chunks(20));
    // 20,000 bytes at 20,000 a second, less the quarter of a second that may come at once.
    assert.ok(performance.now() - startedAt >= 740);
    assert.equal((await readAll(store.get('a'))).byteLength, 20_000);
  });

  it('is one rate for all puts together', async () => {
    await using store = withUploadRate(new MemoryStore(), 20_000);
    const startedAt = performance.now();
    await Promise.all(['a', 'b', 'c', 'd'].map(async (key) => await store.put(key, chunks(5))));
    assert.ok(performance.now() - startedAt >= 740);
    for (const key of ['a', 'b', 'c', 'd']) assert.equal((await readAll(store.get(key))).byteLength, 5000);
  });

  it('does not save up what nobody used', async () => {
    await using store = withUploadRate(new MemoryStore(), 20_000);
    await store.put('a', chunks(10));
    await sleep(300);
    const startedAt = performance.now();
    await Promise.all(['b', 'c'].map(async (key) => await store.put(key, chunks(5))));
    assert.ok(performance.now() - startedAt >= 240);
  });

  it('ends at once when the signal aborts while it waits', async () => {
    await using store = withUploadRate(new MemoryStore(), 1);
    const controller = new AbortController();
    const putting = store.put('a', chunks(5), { signal: controller.signal });
    setTimeout(() => controller.abort(new Error('interrupted')), 20);
    await assert.rejects(putting, /interrupted/);
    assert.equal(await store.head('a'), null);
  });

  it('refuses a rate that would never end', () => {
    for (const rate of [0, -1, Number.NaN]) {
      assert.throws(() => withUploadRate(new MemoryStore(), rate), { kind: 'config' });
    }
  });
});
