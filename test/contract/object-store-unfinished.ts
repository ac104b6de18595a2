import assert from 'node:assert/strict';
import { it } from 'node:test';
import { streamOf } from '../../src/core/byte-stream.ts';
import type { ObjectStore, UnfinishedUpload } from '../../src/storage/object-store.ts';
import { listAll, randomLookingBytes, readAll } from '../support/test-bytes.ts';
import type { StoreUnderTest } from './store-under-test.ts';

export function testUnfinished(subject: StoreUnderTest): void {
  it('has nothing unfinished where every put has come to its end', async () => {
    await using store = await subject.open();
    await store.put('a/small', streamOf('x'));
    await store.put('a/large', streamOf(randomLookingBytes(subject.largeBytes ?? 20 * 1024 * 1024)));
    assert.deepEqual(await listAll(store.listUnfinished('')), []);
    await assert.rejects(listAll(store.listUnfinished('../')), { kind: 'bug' });
    await store.discardUnfinished([]);
    const options = { signal: AbortSignal.abort(new Error('stopped')) };
    if (subject.abandonUpload !== null) await assert.rejects(listAll(store.listUnfinished('', options)), /stopped/);
  });

  const { abandonUpload } = subject;
  if (abandonUpload !== null) testAbandoned(subject, abandonUpload);
}

function testAbandoned(subject: StoreUnderTest, abandon: (store: ObjectStore, key: string) => Promise<void>): void {
  /** A store with what killed processes have left, and one object. */
  async function openAbandoned(): Promise<ObjectStore> {
    const store = await subject.open();
    await store.put('a/1/whole', streamOf('whole'));
    for (const key of ['a/1/x', 'a/1/x', 'a/10/x', 'b']) await abandon(store, key);
    return store;
  }

  it('lists what killed uploads have left, by the beginning of its key', async () => {
    await using store = await openAbandoned();
    for (const prefix of ['', 'a', 'a/', 'a/1', 'a/1/', 'a/1/x', 'b', 'c', 'a/1/whole']) {
      const uploads = await listAll(store.listUnfinished(prefix));
      const expected = ['a/1/x', 'a/1/x', 'a/10/x', 'b'].filter((key) => key.startsWith(prefix));
      assert.deepEqual(keysOf(uploads), expected, `prefix "${prefix}"`);
      assert.equal(new Set(uploads.map(({ id }) => id)).size, uploads.length);
      for (const { lastActiveAt } of uploads) assert.ok(Math.abs(Date.now() - lastActiveAt.getTime()) < 60_000);
    }
    assert.deepEqual(
      (await listAll(store.list(''))).map(({ key }) => key),
      ['a/1/whole'],
    );
    await store.discardUnfinished(await listAll(store.listUnfinished('')));
  });

  it('discards exactly what it is told to, and again without complaint', async () => {
    await using store = await openAbandoned();
    const uploads = await listAll(store.listUnfinished(''));
    const [first, ...others] = uploads.filter(({ key }) => key === 'a/1/x');
    assert.ok(first !== undefined);
    await store.discardUnfinished([first]);
    const left = await listAll(store.listUnfinished(''));
    assert.deepEqual(keysOf(left), ['a/1/x', 'a/10/x', 'b']);
    assert.deepEqual(
      left.filter(({ key }) => key === 'a/1/x').map(({ id }) => id),
      others.map(({ id }) => id),
    );
    await store.discardUnfinished(uploads);
    await store.discardUnfinished(uploads);
    assert.deepEqual(await listAll(store.listUnfinished('')), []);
    assert.deepEqual(await subject.leftovers(store), []);
    assert.equal((await readAll(store.get('a/1/whole'))).toString(), 'whole');
  });

  it('lists an upload that is under way, and lets it end', async () => {
    await using store = await subject.open();
    const running = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    async function* slowly(): AsyncGenerator<Uint8Array> {
      yield randomLookingBytes(subject.largeBytes ?? 20 * 1024 * 1024);
      running.resolve();
      await held.promise;
      yield Buffer.from('end');
    }
    const putting = store.put('a/slow', slowly());
    await running.promise;
    const uploads = await listAll(store.listUnfinished('a/'));
    assert.deepEqual(keysOf(uploads), ['a/slow']);
    held.resolve();
    const { sizeBytes } = await putting;
    await store.discardUnfinished(uploads);
    assert.equal((await store.head('a/slow'))?.sizeBytes, sizeBytes);
    assert.deepEqual(await listAll(store.listUnfinished('')), []);
  });
}

function keysOf(uploads: readonly UnfinishedUpload[]): string[] {
  return uploads.map(({ key }) => key).toSorted();
}
