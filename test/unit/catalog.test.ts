import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createBackupId, isBackupId } from '../../src/catalog/backup-id.ts';
import { Catalog } from '../../src/catalog/catalog.ts';
import { toLabel } from '../../src/catalog/label.ts';
import { parseManifest, type Manifest } from '../../src/catalog/manifest.ts';
import { BackupError } from '../../src/core/backup-error.ts';
import { streamOf } from '../../src/core/byte-stream.ts';
import { MemoryStore } from '../support/memory-store.ts';
import { sampleManifest } from '../support/sample-manifest.ts';

async function storeWith(...manifests: readonly Manifest[]): Promise<MemoryStore> {
  const store = new MemoryStore();
  for (const manifest of manifests) await new Catalog(store).commit(manifest);
  return store;
}

const older = sampleManifest({ id: '20260101T000000Z-aaaaaa' });
const newer = sampleManifest({ id: '20260301T000000Z-000000' });
const other = sampleManifest({ id: '20260201T000000Z-cccccc', label: 'other' });

describe('Catalog', () => {
  it('lists what was committed, oldest first, whole', async () => {
    const entries = await new Catalog(await storeWith(newer, other, older)).list();
    assert.deepEqual(
      entries.map(({ manifest }) => manifest),
      [older, other, newer],
    );
  });

  it('lists one label only', async () => {
    const entries = await new Catalog(await storeWith(newer, other)).list({ label: 'other' });
    assert.deepEqual(
      entries.map(({ id }) => id),
      [other.id],
    );
  });

  it('does not list objects without a manifest, nor foreign files', async () => {
    const store = await storeWith(older);
    await store.put('shop/20260401T000000Z-abcdef/archive.dump.zst.aes', streamOf('half'));
    await store.put('shop/notes/manifest.json', streamOf('{}'));
    await store.put('manifest.json', streamOf('{}'));
    assert.equal((await new Catalog(store).list()).length, 1);
  });

  it('refuses to commit the same id twice', async () => {
    const store = await storeWith(older);
    await assert.rejects(new Catalog(store).commit(older), { kind: 'conflict' });
  });

  it('finds the latest, one by id, and the one of a time', async () => {
    const catalog = new Catalog(await storeWith(older, newer));
    assert.equal((await catalog.find({ by: 'latest' })).id, newer.id);
    assert.equal((await catalog.find({ by: 'id', id: older.id })).id, older.id);
    assert.equal((await catalog.find({ by: 'time', at: new Date('2026-02-28T00:00:00Z') })).id, older.id);
    assert.equal((await catalog.find({ by: 'time', at: new Date('2026-01-01T00:00:00Z') })).id, older.id);
  });

  it('says that there is none instead of giving another', async () => {
    const catalog = new Catalog(await storeWith(older));
    await assert.rejects(catalog.find({ by: 'id', id: newer.id }), { kind: 'notFound' });
    await assert.rejects(catalog.find({ by: 'time', at: new Date('2025-01-01T00:00:00Z') }), { kind: 'notFound' });
    await assert.rejects(catalog.find({ by: 'latest', label: 'nothing' }), { kind: 'notFound' });
  });

  it('does not guess between databases', async () => {
    const catalog = new Catalog(await storeWith(older, other));
    await assert.rejects(catalog.find({ by: 'latest' }), { kind: 'usage', message: /shop, other|other, shop/ });
    assert.equal((await catalog.find({ by: 'latest', label: 'shop' })).id, older.id);
  });

  it('lists a damaged manifest as damaged, and never falls back from it to an older backup', async () => {
    const store = await storeWith(older);
    await store.put('shop/20260401T000000Z-abcdef/manifest.json', streamOf('{"format":'));
    const catalog = new Catalog(store);
    const entries = await catalog.list();
    assert.deepEqual(
      entries.map(({ problem }) => problem?.kind),
      [undefined, 'integrity'],
    );
    await assert.rejects(catalog.find({ by: 'latest' }), { kind: 'integrity' });
  });

  it('refuses a manifest that was moved from another backup', async () => {
    const store = new MemoryStore();
    await store.put(`shop/${newer.id}/manifest.json`, streamOf(JSON.stringify(older)));
    await assert.rejects(new Catalog(store).find({ by: 'latest' }), { kind: 'integrity', message: /belongs to/ });
  });

  it('reads the newest revision of each manifest alone', async () => {
    const second = { ...older, revision: 2, rewrappedAt: '2026-05-01T00:00:00.000Z' };
    const tenth = { ...second, revision: 10 };
    const store = await storeWith(older, second, tenth, newer);
    assert.deepEqual(
      (await new Catalog(store).list()).map(({ manifest }) => manifest),
      [tenth, newer],
    );
    assert.deepEqual(await new Catalog(store).find({ by: 'id', id: older.id }), tenth);
    assert.deepEqual((await new Catalog(store).readNow(older))?.manifest, tenth);
    assert.deepEqual(await new Catalog(store).names({ label: 'shop' }), [
      { label: 'shop', id: older.id, revision: 10 },
      { label: 'shop', id: newer.id, revision: 1 },
    ]);
    await assert.rejects(new Catalog(store).commit(second), { kind: 'conflict' });
  });

  it('takes a revision for no backup when its first manifest is missing', async () => {
    const second = { ...older, revision: 2, rewrappedAt: '2026-05-01T00:00:00.000Z' };
    const catalog = new Catalog(await storeWith(second));
    assert.deepEqual(await catalog.list(), []);
    await assert.rejects(catalog.find({ by: 'latest' }), { kind: 'notFound' });
    assert.equal(await catalog.readNow(older), null);
  });

  for (const [what, text, message] of [
    ['damaged', '{"format":', /manifest\.2\.json/],
    ['that is really the first manifest', JSON.stringify(older), /manifest\.2\.json" says that it is revision 1$/],
    ['of another number', JSON.stringify({ ...older, revision: 3 }), /manifest\.2\.json" says that it is revision 3$/],
    ['of another backup', JSON.stringify({ ...newer, revision: 2 }), /manifest\.2\.json" belongs to/],
  ] as const) {
    it(`never falls back from a revision ${what}`, async () => {
      const store = await storeWith(older);
      await store.put(`shop/${older.id}/manifest.2.json`, streamOf(text));
      const [entry] = await new Catalog(store).list();
      assert.match(entry?.problem?.message ?? '', message);
      await assert.rejects(new Catalog(store).find({ by: 'latest' }), { kind: 'integrity', message });
    });
  }

  it('takes a first manifest that says it is a later one for damaged', async () => {
    const store = new MemoryStore();
    await store.put(`shop/${older.id}/manifest.json`, streamOf(JSON.stringify({ ...older, revision: 2 })));
    await assert.rejects(new Catalog(store).find({ by: 'latest' }), { kind: 'integrity', message: /revision 2/ });
  });

  it('takes other names for no manifests', async () => {
    const store = await storeWith(older);
    for (const name of [
      'manifest.1.json',
      'manifest.02.json',
      'manifest.x.json',
      'manifest.2.json.bak',
      'manifest.2',
    ]) {
      await store.put(`shop/${older.id}/${name}`, streamOf('{'));
    }
    assert.deepEqual((await new Catalog(store).list())[0]?.manifest, older);
  });

  it('deletes a backup with all its revisions, the first one first', async () => {
    const store = await storeWith(older, { ...older, revision: 2 }, newer);
    const deleted: string[] = [];
    const remove = store.delete.bind(store);
    store.delete = async (keys, options) => {
      deleted.push(...keys);
      await remove(keys, options);
    };
    await new Catalog(store).delete(older);
    assert.deepEqual(deleted, [`shop/${older.id}/manifest.json`, `shop/${older.id}/manifest.2.json`]);
  });

  it('deletes a backup with its leftovers and nothing else', async () => {
    const store = await storeWith(older, newer);
    await store.put(`shop/${older.id}/archive.dump.zst.aes`, streamOf('bytes'));
    await store.put(`shop/${older.id}/leftover`, streamOf('bytes'));
    await new Catalog(store).delete(older);
    const keys = (await Array.fromAsync(store.list(''))).map(({ key }) => key);
    assert.deepEqual(keys, [`shop/${newer.id}/manifest.json`]);
  });
});

describe('parseManifest', () => {
  const text = JSON.stringify(sampleManifest({}));

  it('reads what JSON writes', () => {
    assert.deepEqual(parseManifest(Buffer.from(text), 'm'), sampleManifest({}));
  });

  it('refuses every truncation', () => {
    for (let length = 0; length < text.length; length += 1) {
      assert.throws(() => parseManifest(Buffer.from(text.slice(0, length)), 'm'), { kind: 'integrity' });
    }
  });

  it('says that a newer version wants a newer program', () => {
    const future = Buffer.from(JSON.stringify({ ...sampleManifest({}), version: 2 }));
    assert.throws(() => parseManifest(future, 'm'), { kind: 'integrity', hint: /newer librelog-backup/ });
  });

  for (const [what, change] of [
    ['an unknown field', { extra: 1 }],
    ['a negative size', { source: { ...sampleManifest({}).source, sizeBytes: -1 } }],
    ['an object name that leaves its folder', { objects: [{ ...sampleManifest({}).objects[0], name: '../x' }] }],
    ['no objects', { objects: [] }],
    ['a wrong digest', { objects: [{ ...sampleManifest({}).objects[0], sha256: 'abc' }] }],
  ] as const) {
    it(`refuses ${what}`, () => {
      const bytes = Buffer.from(JSON.stringify({ ...sampleManifest({}), ...change }));
      assert.throws(() => parseManifest(bytes, 'm'), { kind: 'integrity' });
    });
  }

  it('throws nothing but our error, whatever the bytes', () => {
    const parse = (bytes: Uint8Array): void => {
      try {
        parseManifest(bytes, 'm');
      } catch (error) {
        assert.ok(error instanceof BackupError);
      }
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), parse));
    fc.assert(fc.property(fc.json(), (json) => parse(Buffer.from(json))));
    const edits = fc.tuple(fc.nat(text.length - 1), fc.nat(255));
    fc.assert(
      fc.property(edits, ([index, byte]) => {
        const bytes = Buffer.from(text);
        bytes[index] = byte;
        parse(bytes);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('backup ids', () => {
  it('sort by time and look as documented', () => {
    const id = createBackupId(new Date('2026-11-23T23:14:05.987Z'), () => Buffer.from('7f3a9c', 'hex'));
    assert.equal(id, '20261123T231405Z-7f3a9c');
    assert.equal(isBackupId(id), true);
    assert.equal(isBackupId('latest'), false);
    assert.ok(createBackupId(new Date('2026-11-23T23:14:06Z')) > id);
  });
});

describe('toLabel', () => {
  it('keeps plain names', () => {
    assert.equal(toLabel('shop-1.prod_x'), 'shop-1.prod_x');
  });

  it('makes safe, distinct folder names of all others', () => {
    assert.equal(toLabel('my db/ü'), 'my~20db~2f~c3~bc');
    assert.equal(toLabel('_globals'), '~5fglobals');
    assert.equal(toLabel('..'), '~2e.');
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.string({ minLength: 1 }), (a, b) => {
        assert.match(toLabel(a), /^[A-Za-z0-9~][A-Za-z0-9._~-]*$/);
        if (Buffer.from(a).compare(Buffer.from(b)) !== 0) assert.notEqual(toLabel(a), toLabel(b));
      }),
    );
  });
});
