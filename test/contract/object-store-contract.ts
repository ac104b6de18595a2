import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { streamOf } from '../../src/core/byte-stream.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import {
  failingAfter,
  inReusedChunks,
  listAll,
  randomLookingBytes,
  readAll,
  sha256,
  stallingAfter,
} from '../support/test-bytes.ts';
import { testGet, testHeadListDelete, testMissingStore } from './object-store-reading.ts';
import { testUnfinished } from './object-store-unfinished.ts';
import type { StoreUnderTest } from './store-under-test.ts';

/** Registers the tests of the contract of `ObjectStore`, sentence by sentence. */
export function testObjectStore(name: string, subject: StoreUnderTest): void {
  describe(`object store contract: ${name}`, () => {
    testPut(subject);
    testFailedPut(subject);
    testCreateOnly(subject);
    testGet(subject);
    testHeadListDelete(subject);
    testUnfinished(subject);
    if (subject.openMissing !== undefined) testMissingStore(subject.openMissing);
  });
}

const oddSizes = [1, 65_536, 7, 1_048_577, 4_096, 3_000_001];

async function assertEmpty(subject: StoreUnderTest, store: ObjectStore): Promise<void> {
  assert.deepEqual(await listAll(store.list('')), []);
  assert.deepEqual(await subject.leftovers(store), []);
}

function testPut(subject: StoreUnderTest): void {
  it('keeps an object as it was given', async () => {
    await using store = await subject.open();
    const before = Date.now();
    const put = await store.put('a/one', streamOf('first ', 'second'));
    assert.equal(put.key, 'a/one');
    assert.equal(put.sizeBytes, 12);
    assert.ok(Math.abs(put.modifiedAt.getTime() - before) < 60_000);
    assert.equal((await readAll(store.get('a/one'))).toString(), 'first second');
  });

  it('keeps an empty object', async () => {
    await using store = await subject.open();
    assert.equal((await store.put('empty', streamOf())).sizeBytes, 0);
    assert.equal((await readAll(store.get('empty'))).byteLength, 0);
    assert.equal((await store.head('empty'))?.sizeBytes, 0);
  });

  it('keeps a large object that comes in odd chunks whose buffers the producer uses again', async () => {
    await using store = await subject.open();
    const bytes = randomLookingBytes(subject.largeBytes ?? 20 * 1024 * 1024 + 17);
    const put = await store.put('large', inReusedChunks(bytes, oddSizes), { expectedSizeBytes: 5 });
    assert.equal(put.sizeBytes, bytes.byteLength);
    assert.equal(sha256(await readAll(store.get('large'))), sha256(bytes));
    assert.deepEqual(await subject.leftovers(store), []);
  });

  it('takes a wrong guess of the size', async () => {
    await using store = await subject.open();
    await store.put('small', streamOf('x'), { expectedSizeBytes: 10 ** 12 });
    assert.equal((await readAll(store.get('small'))).toString(), 'x');
  });

  it('replaces an object', async () => {
    await using store = await subject.open();
    const first = await store.put('a', streamOf('old'));
    const second = await store.put('a', streamOf('newer'));
    assert.equal((await readAll(store.get('a'))).toString(), 'newer');
    assert.notEqual(second.version, first.version);
    assert.equal((await listAll(store.list(''))).length, 1);
  });

  it('shows an object only when it is whole', async () => {
    await using store = await subject.open();
    const running = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    async function* slowly(): AsyncGenerator<Uint8Array> {
      yield randomLookingBytes(9 * 1024 * 1024);
      running.resolve();
      await held.promise;
      yield Buffer.from('end');
    }
    const putting = store.put('d/slow', slowly());
    await running.promise;
    assert.equal(await store.head('d/slow').catch(() => null), null);
    assert.deepEqual(await listAll(store.list('')), []);
    held.resolve();
    await putting;
    assert.equal((await store.head('d/slow'))?.sizeBytes, 9 * 1024 * 1024 + 3);
  });

  it('reads the body once', async () => {
    await using store = await subject.open();
    let begun = 0;
    const body = {
      [Symbol.asyncIterator]() {
        begun += 1;
        return streamOf('only ', 'once')[Symbol.asyncIterator]();
      },
    };
    await store.put('a', body);
    assert.equal(begun, 1);
  });

  for (const key of [
    'blank in name',
    'plus+and%20percent',
    'ünï/çødé/日本語',
    'quote\'"<&>',
    'a.b/.hidden',
    'x'.repeat(200),
  ]) {
    it(`keeps the key ${JSON.stringify(key.slice(0, 30))}`, async () => {
      await using store = await subject.open();
      await store.put(key, streamOf('x'));
      await store.put('other', streamOf('y'));
      assert.equal((await readAll(store.get(key))).toString(), 'x');
      assert.equal((await store.head(key))?.key, key);
      assert.deepEqual(
        (await listAll(store.list(''))).map((object) => object.key).toSorted(),
        [key, 'other'].toSorted(),
      );
      await store.delete([key, 'other']);
      await assertEmpty(subject, store);
    });
  }

  for (const key of ['', '/a', 'a/', 'a//b', '../a', 'a/../b', './a', 'a\0b', 'a\nb', '\uD800', 'x'.repeat(1025)]) {
    it(`refuses the key ${JSON.stringify(key.slice(0, 30))}`, async () => {
      await using store = await subject.open();
      await assert.rejects(store.put(key, streamOf('x')), { name: 'BackupError', kind: 'bug' });
      await assert.rejects(readAll(store.get(key)), { kind: 'bug' });
      await assert.rejects(store.head(key), { kind: 'bug' });
      await assert.rejects(store.delete([key]), { kind: 'bug' });
    });
  }
}

function testFailedPut(subject: StoreUnderTest): void {
  const pieces = { 'a small body': 5, 'a body of several parts': 20 * 1024 * 1024 };
  for (const [what, sizeBytes] of Object.entries(pieces)) {
    it(`leaves nothing behind when ${what} fails in the middle, and throws the body's own error`, async () => {
      await using store = await subject.open();
      const failure = new Error('pg_dump died');
      const body = failingAfter(randomLookingBytes(sizeBytes), failure);
      await assert.rejects(store.put('a/two', body), (error) => error === failure);
      await store.put('anchor', streamOf());
      await assert.rejects(readAll(store.get('a/two')), { kind: 'notFound' });
      await store.delete(['anchor']);
      await assertEmpty(subject, store);
    });

    it(`leaves nothing behind when the signal aborts ${what} that has stalled`, async () => {
      await using store = await subject.open();
      const controller = new AbortController();
      const reason = new Error('interrupted');
      const body = stallingAfter(randomLookingBytes(sizeBytes), () => controller.abort(reason));
      const putting = store.put('a/three', body, { signal: controller.signal });
      await assert.rejects(putting, (error) => error === reason);
      await store.put('anchor', streamOf());
      assert.equal(await store.head('a/three'), null);
      await store.delete(['anchor']);
      await assertEmpty(subject, store);
    });

    it(`keeps the old object when ${what} that should replace it fails`, async () => {
      await using store = await subject.open();
      await store.put('a', streamOf('old'));
      await assert.rejects(store.put('a', failingAfter(randomLookingBytes(sizeBytes), new Error('died'))), /died/);
      assert.equal((await readAll(store.get('a'))).toString(), 'old');
      assert.deepEqual(await subject.leftovers(store), []);
    });
  }

  it('does nothing when the signal has aborted before', async () => {
    await using store = await subject.open();
    const signal = AbortSignal.abort(new Error('too late'));
    await assert.rejects(store.put('a', streamOf('x'), { signal }), /too late/);
    await store.put('anchor', streamOf());
    assert.equal(await store.head('a'), null);
  });
}

function testCreateOnly(subject: StoreUnderTest): void {
  it('creates an object only once, and the first one stays', async () => {
    await using store = await subject.open();
    await store.put('m', streamOf('mine'), { createOnly: true });
    const again = store.put('m', streamOf('theirs'), { createOnly: true });
    await assert.rejects(again, { name: 'BackupError', kind: 'conflict', message: /"m"/ });
    assert.equal((await readAll(store.get('m'))).toString(), 'mine');
    assert.deepEqual(await subject.leftovers(store), []);
  });

  it('creates a large object only once', async () => {
    await using store = await subject.open();
    await store.put('m', streamOf('mine'));
    const large = inReusedChunks(randomLookingBytes(20 * 1024 * 1024), [1024 * 1024]);
    await assert.rejects(store.put('m', large, { createOnly: true }), { kind: 'conflict' });
    assert.equal((await readAll(store.get('m'))).toString(), 'mine');
    assert.deepEqual(await subject.leftovers(store), []);
  });

  it('lets exactly one of several writers create an object, even of the same content', async () => {
    await using store = await subject.open();
    const contents = ['same', 'same', 'same', 'other', 'another', 'third'];
    const puts = contents.map(async (text) => await store.put('m', streamOf(text), { createOnly: true }));
    const outcomes = await Promise.allSettled(puts);
    const winners = contents.filter((_, index) => outcomes[index]?.status === 'fulfilled');
    assert.equal(winners.length, 1);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') assert.equal((outcome.reason as { kind?: string }).kind, 'conflict');
    }
    assert.equal((await readAll(store.get('m'))).toString(), winners[0]);
    assert.deepEqual(await subject.leftovers(store), []);
  });
}
