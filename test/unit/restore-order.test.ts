import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { orderForRestore, TablesUnderWay } from '../../src/backup/restore-order.ts';
import type { Contents } from '../../src/catalog/contents.ts';
import type { ManifestObject } from '../../src/catalog/manifest.ts';

type Table = Contents['tables'][number];

function object(name: string, plainBytes = 100): ManifestObject {
  const role = name === 'remainder' ? 'remainder' : 'data';
  return { name, role, plainBytes, storedBytes: plainBytes, sha256: '0123456789abcdef'.repeat(4) };
}

function table(name: string, sizes: readonly [size: number, indexes: number], ...objects: string[]): Table {
  const [sizeBytes, indexBytes] = sizes;
  return { schema: 'public', name, sizeBytes, indexBytes, parts: objects.map((part) => ({ object: part, rows: 1 })) };
}

const contents = (...tables: readonly Table[]): Contents => ({
  format: 'librelog-backup-contents',
  version: 1,
  tables: [...tables],
});

const orderOf = (objects: readonly ManifestObject[], ...tables: readonly Table[]) =>
  orderForRestore(objects, contents(...tables)).map(({ name }) => name);

describe('the order of a restore', () => {
  it('begins with what takes longest, rows and indexes together', () => {
    const objects = [object('data-1'), object('data-2'), object('remainder', 250)];
    const tables = [table('plain', [300, 0], 'data-1'), table('indexed', [200, 100], 'data-2')];
    assert.deepEqual(orderOf(objects, ...tables), ['data-2', 'data-1', 'remainder']);
  });

  it('begins with what has most bytes where its tables are small', () => {
    const tables = [table('small', [10, 0], 'data-2'), table('other', [300, 0], 'data-1')];
    assert.deepEqual(orderOf([object('data-1', 300), object('data-2', 400)], ...tables), ['data-2', 'data-1']);
  });

  it('keeps the parts of one table together', () => {
    const objects = ['data-1', 'data-2', 'data-3', 'data-4'].map((name) => object(name));
    const tables = [table('large', [900, 0], 'data-1', 'data-3'), table('other', [800, 0], 'data-2', 'data-4')];
    assert.deepEqual(orderOf(objects, ...tables), ['data-1', 'data-3', 'data-2', 'data-4']);
  });

  it('counts the longest of the tables that share an object', () => {
    const objects = [object('data-1'), object('data-2')];
    const tables = [
      table('small', [10, 0], 'data-2'),
      table('large', [500, 0], 'data-2'),
      table('x', [100, 0], 'data-1'),
    ];
    assert.deepEqual(orderOf(objects, ...tables), ['data-2', 'data-1']);
  });
});

describe('tables under way', () => {
  it('are complete with their last object, and only then', () => {
    const name = fc.constantFrom('data-1', 'data-2', 'data-3', 'data-4');
    const parts = fc.uniqueArray(name, { minLength: 1 });
    fc.assert(
      fc.property(fc.array(parts, { maxLength: 6 }), fc.uniqueArray(name), (allParts, loaded) => {
        const tables = allParts.map((objects, index) => table(`t${index}`, [1, 1], ...objects));
        const underWay = new TablesUnderWay(contents(...tables));
        for (const [index, last] of loaded.entries()) {
          const soFar = new Set<string>(loaded.slice(0, index + 1));
          const expected = tables.filter(({ parts }) => {
            const objects = parts.map((part) => part.object);
            return objects.includes(last) && objects.every((part) => soFar.has(part));
          });
          assert.deepEqual(underWay.completedBy(last), expected);
          assert.deepEqual(underWay.completedBy(last), [], 'a second time');
        }
      }),
    );
  });
});
