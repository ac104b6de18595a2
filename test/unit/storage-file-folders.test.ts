import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { streamOf } from '../../src/core/byte-stream.ts';
import { openFileStore } from '../../src/storage/file-store.ts';

describe('file store', () => {
  for (const order of [
    [0, 1, 2],
    [2, 1, 0],
    [1, 0, 2],
  ] as const) {
    it(`leaves no folder when several puts fail, whichever made it: ${order.join(', ')}`, async () => {
      const root = await mkdtemp(join(tmpdir(), 'file-store-'));
      const store = openFileStore(root, `file://${root}`);
      await store.put('kept', streamOf('x'));
      const bodies = order.map(() => ({
        started: Promise.withResolvers<void>(),
        failed: Promise.withResolvers<never>(),
      }));
      async function* body({ started, failed }: (typeof bodies)[number]): AsyncGenerator<Uint8Array> {
        yield Buffer.from('x');
        started.resolve();
        await failed.promise;
      }
      const puts = bodies.map(async (each, index) => await store.put(`label/id/object-${index}`, body(each)));
      await Promise.all(bodies.map(async ({ started }) => await started.promise));
      for (const index of order) {
        bodies[index]?.failed.reject(new Error('the body failed'));
        await assert.rejects(async () => await puts[index], /the body failed/);
      }
      assert.deepEqual(await readdir(root), ['kept']);
      await rm(root, { recursive: true });
    });
  }
});
