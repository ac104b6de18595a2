import assert from 'node:assert/strict';
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { streamOf } from '../../src/core/byte-stream.ts';
import { openFileStore } from '../../src/storage/file-store.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { failingAfter, listAll, randomLookingBytes, readAll } from '../support/test-bytes.ts';

const mebibyte = 1024 * 1024;
const folder = await mkdtemp(join(tmpdir(), 'file-store-'));
after(async () => await rm(folder, { recursive: true }));
let roots = 0;

function newStore(): { root: string; store: ObjectStore } {
  const root = join(folder, `root-${(roots += 1)}`);
  return { root, store: openFileStore(root, `file://${root}`) };
}

async function everythingIn(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true });
  return entries.toSorted();
}

describe('file store', () => {
  it('makes files and folders for their owner only', async () => {
    const { root, store } = newStore();
    await store.put('a/b/c', streamOf('x'));
    assert.equal((await lstat(join(root, 'a/b/c'))).mode & 0o777, 0o600);
    for (const path of ['', 'a', 'a/b']) assert.equal((await lstat(join(root, path))).mode & 0o777, 0o700);
  });

  it('writes under a temporary name, which is no object', async () => {
    const { root, store } = newStore();
    async function* body(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('x');
      const names = await readdir(join(root, 'a'));
      assert.equal(names.length, 1);
      assert.match(names[0] ?? '', /^\.object\.[0-9a-f]{12}\.partial$/);
      assert.deepEqual(await listAll(store.list('')), []);
      assert.equal(await store.head(`a/${names[0]}`), null);
    }
    await store.put('a/object', body());
    assert.deepEqual(await readdir(join(root, 'a')), ['object']);
    await assert.rejects(store.put('a/.x.partial', streamOf('x')), { kind: 'bug' });
  });

  it('removes what it made when the body fails, and nothing else', async () => {
    const { root, store } = newStore();
    await store.put('kept/one', streamOf('x'));
    await assert.rejects(store.put('kept/two/three/four', failingAfter(Buffer.alloc(9), new Error('died'))), /died/);
    assert.deepEqual(await everythingIn(root), ['kept', 'kept/one']);
    const fresh = newStore();
    await assert.rejects(fresh.store.put('a', failingAfter(Buffer.alloc(9), new Error('died'))), /died/);
    await assert.rejects(lstat(fresh.root), { code: 'ENOENT' });
  });

  it('removes folders that become empty, but not the root', async () => {
    const { root, store } = newStore();
    await store.put('a/b/one', streamOf('x'));
    await store.put('a/two', streamOf('x'));
    await store.delete(['a/b/one']);
    assert.deepEqual(await everythingIn(root), ['a', 'a/two']);
    await store.delete(['a/two']);
    assert.deepEqual(await everythingIn(root), []);
  });

  it('does not make its root in a folder that is missing', async () => {
    const store = openFileStore(join(folder, 'not-mounted', 'backups'), 'file:///x');
    await assert.rejects(store.put('a', streamOf('x')), {
      kind: 'notFound',
      message: /the folder ".*not-mounted" does not exist/,
      hint: /mounted/,
    });
  });

  it('refuses a root that is a file', async () => {
    const { root, store } = newStore();
    await writeFile(root, '');
    for (const call of [
      async () => await store.put('a', streamOf('x')),
      async () => await listAll(store.list('')),
      async () => await readAll(store.get('a')),
    ]) {
      await assert.rejects(call, { kind: 'notFound', message: /not a folder/ });
    }
  });

  it('says what is in the way of a key', async () => {
    const { store } = newStore();
    await store.put('a/b', streamOf('x'));
    await assert.rejects(store.put('a/b/c', streamOf('x')), {
      kind: 'storage',
      message: /"a\/b\/c".*\/a\/b" is in the way/,
    });
    await assert.rejects(store.put('a', streamOf('x')), { kind: 'storage', message: /"a".*a folder of that name/ });
    await assert.rejects(store.put('a', streamOf('x'), { createOnly: true }), { kind: 'conflict' });
    assert.deepEqual(
      (await listAll(store.list(''))).map(({ key }) => key),
      ['a/b'],
    );
  });

  it('does not follow links out of the store', async () => {
    const { root, store } = newStore();
    const outside = join(folder, 'outside');
    await mkdir(outside);
    await writeFile(join(outside, 'secret'), 'x');
    await store.put('own', streamOf('x'));
    await symlink(outside, join(root, 'folder-link'));
    await symlink(join(outside, 'secret'), join(root, 'file-link'));

    assert.deepEqual(
      (await listAll(store.list(''))).map(({ key }) => key),
      ['own'],
    );
    for (const key of ['folder-link/secret', 'file-link']) {
      assert.equal(await store.head(key), null);
      await assert.rejects(readAll(store.get(key)), { kind: 'notFound' });
    }
    await store.delete(['folder-link/secret']);
    await assert.rejects(store.put('folder-link/new', streamOf('x')), { kind: 'storage', message: /in the way/ });
    await store.put('file-link', streamOf('replaced'));
    assert.equal(await readFile(join(outside, 'secret'), 'utf8'), 'x');
    assert.deepEqual(await readdir(outside), ['secret']);
  });

  it('takes a root that is a link', async () => {
    const { root, store } = newStore();
    await mkdir(`${root}-target`);
    await symlink(`${root}-target`, root);
    await store.put('a', streamOf('x'));
    assert.equal((await readAll(store.get('a'))).toString(), 'x');
  });

  it('skips lost+found, which only root may read', async () => {
    const { root, store } = newStore();
    await store.put('a', streamOf('x'));
    await mkdir(join(root, 'lost+found'));
    await writeFile(join(root, 'lost+found', '#12'), '');
    assert.deepEqual(
      (await listAll(store.list(''))).map(({ key }) => key),
      ['a'],
    );
  });

  it('keeps a name of 255 bytes, the longest there is', async () => {
    const { store } = newStore();
    const key = 'é'.repeat(127) + 'x';
    await store.put(key, streamOf('x'), { createOnly: true });
    assert.deepEqual(
      (await listAll(store.list(''))).map((object) => object.key),
      [key],
    );
  });

  it('goes on reading the old content when an object is replaced or deleted meanwhile', async () => {
    const { store } = newStore();
    const bytes = randomLookingBytes(5 * mebibyte);
    await store.put('a', streamOf(bytes));
    const reading = store.get('a')[Symbol.asyncIterator]();
    const first = Buffer.from((await reading.next()).value ?? []);
    await store.put('a', streamOf('new'));
    await store.delete(['a']);
    const rest = await readAll({ [Symbol.asyncIterator]: () => reading });
    assert.ok(Buffer.concat([first, rest]).equals(bytes));
  });

  it('notices a file that is cut or changed in place while it is read', async () => {
    const { root, store } = newStore();
    for (const change of [
      async (path: string) => await truncate(path, 3 * mebibyte),
      async (path: string) => await writeFile(path, 'y', { flag: 'r+' }),
    ]) {
      await store.put('a', streamOf(randomLookingBytes(9 * mebibyte)));
      const reading = async (): Promise<void> => {
        let isFirst = true;
        for await (const _chunk of store.get('a')) {
          if (isFirst) await change(join(root, 'a'));
          isFirst = false;
        }
      };
      await assert.rejects(reading, { kind: 'integrity', message: /"a" in/ });
    }
  });

  it('survives writers and deleters of one folder at the same time', async () => {
    const { root, store } = newStore();
    const writing = Array.from({ length: 40 }, async (_, index) => {
      await store.put(`x/y/${index}`, streamOf('x'));
      await store.delete([`x/y/${index}`]);
    });
    await Promise.all(writing);
    assert.deepEqual(await everythingIn(root), []);
  });
});

describe('file store that is denied', () => {
  const isRoot = process.getuid?.() === 0;

  /** Root may do everything; so become somebody else for a moment. */
  async function unprivileged(use: () => Promise<void>): Promise<void> {
    if (isRoot) process.seteuid?.(65534);
    try {
      await use();
    } finally {
      if (isRoot) process.seteuid?.(0);
    }
  }

  it('says access for a folder that may not be written', async () => {
    const { root, store } = newStore();
    await store.put('a', streamOf('x'));
    await chmod(folder, 0o755);
    await chmod(root, 0o555);
    await unprivileged(async () => {
      await assert.rejects(store.put('b', streamOf('x')), {
        kind: 'access',
        message: /cannot store "b"/,
        hint: /right/,
      });
      await assert.rejects(store.delete(['a']), { kind: 'access', message: /cannot delete "a"/ });
    });
    await chmod(root, 0o700);
    assert.deepEqual(await everythingIn(root), ['a']);
  });

  it('says access for a folder that may not be read', async () => {
    const { root, store } = newStore();
    await store.put('a/b', streamOf('x'));
    await chmod(folder, 0o755);
    await chmod(root, 0o000);
    await unprivileged(async () => {
      await assert.rejects(listAll(store.list('')), { kind: 'access' });
      await assert.rejects(readAll(store.get('a/b')), { kind: 'access' });
      await assert.rejects(store.head('a/b'), { kind: 'access' });
    });
    await chmod(root, 0o700);
  });
});
