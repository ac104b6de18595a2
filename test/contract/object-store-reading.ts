import assert from 'node:assert/strict';
import { it } from 'node:test';
import { streamOf } from '../../src/core/byte-stream.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { listAll, randomLookingBytes, readAll, sha256 } from '../support/test-bytes.ts';
import type { StoreUnderTest } from './store-under-test.ts';

/** The part of the contract that is about what is there: get, head, list and delete. */
export function testGet(subject: StoreUnderTest): void {
  it('gives exactly the bytes asked for', async () => {
    await using store = await subject.open();
    const bytes = randomLookingBytes(9 * 1024 * 1024 + 3);
    await store.put('a', streamOf(bytes));
    const size = bytes.byteLength;
    const mib = 1024 * 1024;
    const ranges: readonly (readonly [number, number | undefined])[] = [
      [0, 1],
      [0, size],
      [size - 1, undefined],
      [5, 5],
      [mib - 1, mib + 1],
      [8 * mib - 3, 8 * mib + 3],
      [3, size + 100],
      [size, undefined],
      [size + 5, size + 9],
    ];
    for (const [start, end] of ranges) {
      const read = await readAll(store.get('a', end === undefined ? { start } : { start, end }));
      assert.deepEqual(sha256(read), sha256(bytes.subarray(start, end)), `bytes ${start} to ${end}`);
    }
  });

  it('refuses impossible ranges', async () => {
    await using store = await subject.open();
    await store.put('a', streamOf('abc'));
    for (const range of [{ start: -1 }, { start: 2, end: 1 }, { start: 0.5 }, { end: Number.NaN }]) {
      await assert.rejects(readAll(store.get('a', range)), { kind: 'bug' });
    }
  });

  it('fails before the first byte when there is no such object', async () => {
    await using store = await subject.open();
    await store.put('a/b', streamOf('x'));
    for (const key of ['none', 'a', 'a/b/c', 'none/none']) {
      await assert.rejects(readAll(store.get(key)), { name: 'BackupError', kind: 'notFound' });
      await assert.rejects(readAll(store.get(key, { start: 5, end: 5 })), { kind: 'notFound' });
    }
    await assert.rejects(readAll(store.get('none')), { message: /"none"/ });
  });

  it('reads the version it is pinned to, or fails with integrity', async () => {
    await using store = await subject.open();
    const first = await store.put('a', streamOf('first'));
    const pin = first.version === undefined ? {} : { version: first.version };
    assert.equal((await readAll(store.get('a', pin))).toString(), 'first');
    assert.equal((await store.head('a'))?.version, first.version);
    await store.put('a', streamOf('other'));
    await assert.rejects(readAll(store.get('a', { version: first.version ?? '"none"' })), { kind: 'integrity' });
  });

  it('never mixes two contents when an object is replaced while it is read', async () => {
    await using store = await subject.open();
    const old = randomLookingBytes(subject.largeBytes ?? 50 * 1024 * 1024, 1);
    await store.put('a', streamOf(old));
    const read: Buffer[] = [];
    let failure: unknown;
    try {
      for await (const chunk of store.get('a')) {
        read.push(Buffer.from(chunk));
        if (read.length === 1) await store.put('a', streamOf(randomLookingBytes(old.byteLength, 2)));
      }
    } catch (error) {
      failure = error;
    }
    const bytes = Buffer.concat(read);
    assert.ok(bytes.equals(old.subarray(0, bytes.byteLength)));
    if (failure === undefined) assert.equal(bytes.byteLength, old.byteLength);
    else assert.equal((failure as { kind?: string }).kind, 'integrity');
  });

  it('can be left in the middle, and read again', async () => {
    await using store = await subject.open();
    const bytes = randomLookingBytes(20 * 1024 * 1024);
    await store.put('a', streamOf(bytes));
    for await (const chunk of store.get('a')) {
      assert.ok(chunk.byteLength > 0);
      break;
    }
    assert.equal(sha256(await readAll(store.get('a'))), sha256(bytes));
  });

  it('stops reading when the signal aborts', async () => {
    await using store = await subject.open();
    await store.put('a', streamOf(randomLookingBytes(40 * 1024 * 1024)));
    const controller = new AbortController();
    const reading = (async () => {
      for await (const chunk of store.get('a', { signal: controller.signal })) {
        if (chunk.byteLength > 0) controller.abort(new Error('interrupted'));
      }
    })();
    await assert.rejects(reading, /interrupted/);
  });
}

export function testHeadListDelete(subject: StoreUnderTest): void {
  it('answers null for an object that is not there', async () => {
    await using store = await subject.open();
    await store.put('a/b', streamOf('x'));
    for (const key of ['none', 'a', 'a/b/c']) assert.equal(await store.head(key), null);
  });

  it('lists the objects whose keys begin with the prefix', async () => {
    await using store = await subject.open();
    const keys = ['a/1/x', 'a/1/y', 'a/10/x', 'a.b', 'ab/1', 'b'];
    for (const key of keys) await store.put(key, streamOf(key));
    const prefixes = ['', 'a', 'a/', 'a/1', 'a/1/', 'a/1/y', 'b', 'none/', 'none', 'b/'];
    for (const prefix of prefixes) {
      const listed = await listAll(store.list(prefix));
      assert.deepEqual(
        listed.map(({ key }) => key).toSorted(),
        keys.filter((key) => key.startsWith(prefix)).toSorted(),
      );
      for (const object of listed) {
        const head = await store.head(object.key);
        assert.equal(object.sizeBytes, object.key.length);
        assert.equal(object.sizeBytes, head?.sizeBytes);
        assert.equal(
          sha256(await readAll(store.get(object.key, pinTo(object.version)))),
          sha256(Buffer.from(object.key)),
        );
      }
    }
    await assert.rejects(listAll(store.list('../')), { kind: 'bug' });
  });

  it('deletes objects, and again without complaint', async () => {
    await using store = await subject.open();
    for (const key of ['a/1', 'a/2', 'a/b/3', 'c']) await store.put(key, streamOf('x'));
    await store.delete(['a/1', 'a/b/3', 'none', 'a', 'c/none']);
    assert.deepEqual((await listAll(store.list(''))).map(({ key }) => key).toSorted(), ['a/2', 'c']);
    await store.delete(['a/1']);
    await store.delete([]);
    await store.delete(['a/2', 'c']);
    await store.delete(['a/2', 'c']);
    assert.deepEqual(await listAll(store.list('')), []);
    assert.deepEqual(await subject.leftovers(store), []);
    await store.put('a/1', streamOf('again'));
    assert.equal((await readAll(store.get('a/1'))).toString(), 'again');
  });

  it('heeds a signal that has aborted', async () => {
    await using store = await subject.open();
    await store.put('a', streamOf('x'));
    const options = { signal: AbortSignal.abort(new Error('stopped')) };
    await assert.rejects(store.head('a', options), /stopped/);
    await assert.rejects(listAll(store.list('', options)), /stopped/);
    await assert.rejects(store.delete(['a'], options), /stopped/);
    await assert.rejects(readAll(store.get('a', options)), /stopped/);
    assert.notEqual(await store.head('a'), null);
  });

  it('names its address', async () => {
    await using store = await subject.open();
    assert.match(store.url, /^\w+:/);
  });
}

function pinTo(version: string | undefined): { version?: string } {
  return version === undefined ? {} : { version };
}

export function testMissingStore(openMissing: () => Promise<ObjectStore>): void {
  it('says notFound, not "no objects", when the place itself is missing', async () => {
    await using store = await openMissing();
    const expected = { name: 'BackupError', kind: 'notFound' };
    await assert.rejects(listAll(store.list('')), expected);
    await assert.rejects(readAll(store.get('a')), expected);
    await assert.rejects(store.head('a'), expected);
  });
}
