import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { streamOf } from '../../src/core/byte-stream.ts';
import { openFileStore } from '../../src/storage/file-store.ts';
import { inReusedChunks, randomLookingBytes, readAll } from '../support/test-bytes.ts';

const mebibyte = 1024 * 1024;

/** On a small file system of its own, for which this needs the rights of root. */
describe('file store on a file system with little room', () => {
  let mountPoint = '';

  before(async () => {
    mountPoint = await mkdtemp(join(tmpdir(), 'small-disk-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'librelog-test', mountPoint]);
  });
  after(async () => {
    execFileSync('umount', [mountPoint]);
    await rmdir(mountPoint);
  });

  for (const createOnly of [false, true]) {
    it(`says that the store is full and leaves no trace (${createOnly ? 'create-only' : 'replacing'})`, async () => {
      const store = openFileStore(join(mountPoint, 'store'), `file://${mountPoint}/store`);
      await store.put('kept/old', streamOf('old'));
      const body = inReusedChunks(randomLookingBytes(20 * mebibyte), [mebibyte]);
      await assert.rejects(store.put('a/new', body, { createOnly }), {
        kind: 'storage',
        message: /cannot store "a\/new" in ".*": the store is full/,
        hint: /Free space/,
      });
      assert.deepEqual((await readdir(mountPoint, { recursive: true })).toSorted(), [
        'store',
        'store/kept',
        'store/kept/old',
      ]);
      await store.put('a/new', streamOf(randomLookingBytes(5 * mebibyte)));
      await store.delete(['a/new', 'kept/old']);
    });
  }

  it('says that the file system is read-only', async () => {
    const store = openFileStore(join(mountPoint, 'store'), `file://${mountPoint}/store`);
    await store.put('a', streamOf('x'));
    execFileSync('mount', ['-o', 'remount,ro', mountPoint]);
    try {
      await assert.rejects(store.put('b', streamOf('x')), { kind: 'access', message: /read-only/, hint: /writable/ });
      await assert.rejects(store.delete(['a']), { kind: 'access', message: /read-only/ });
      assert.equal((await readAll(store.get('a'))).toString(), 'x');
    } finally {
      execFileSync('mount', ['-o', 'remount,rw', mountPoint]);
    }
  });
});
