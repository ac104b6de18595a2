import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatContents, parseContents, type Contents } from '../../src/catalog/contents.ts';
import { parseManifest, type ManifestObject, type ObjectRole } from '../../src/catalog/manifest.ts';
import { sampleManifest } from '../support/sample-manifest.ts';

const tables: Contents['tables'] = [
  {
    schema: 'public',
    name: 'Ünïcode "quoted"',
    sizeBytes: 123_456_789,
    indexBytes: 12_345_678,
    parts: [
      { object: 'data-001.sql.zst.aes', rows: 1000 },
      { object: 'data-002.sql.zst.aes', rows: null },
    ],
  },
];
const [table] = tables;
const [part] = table?.parts ?? [];
const contents = { format: 'librelog-backup-contents', version: 1, tables };

function parse(value: unknown): Contents {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return parseContents(Buffer.from(text), 'shop/1/contents.json.zst.aes');
}

describe('the table of contents', () => {
  it('is read as it was written', () => {
    assert.deepEqual(parse(formatContents(tables)), contents);
    assert.deepEqual(parse(formatContents([])).tables, []);
  });

  const damages: Readonly<Record<string, unknown>> = {
    'no JSON': '{"format":',
    nothing: '',
    'another format': { ...contents, format: 'librelog-backup-manifest' },
    'a later version': { ...contents, version: 2 },
    'no tables': { format: contents.format, version: 1 },
    'an unknown field': { ...contents, extra: true },
    'an unknown field of a table': { ...contents, tables: [{ ...table, owner: 'me' }] },
    'an unknown field of a part': { ...contents, tables: [{ ...table, parts: [{ ...part, blocks: 7 }] }] },
    'a table without parts': { ...contents, tables: [{ ...table, parts: [] }] },
    'a part without an object': { ...contents, tables: [{ ...table, parts: [{ rows: 1 }] }] },
    'a part without a count': { ...contents, tables: [{ ...table, parts: [{ object: 'data-001.sql' }] }] },
    'a negative count': { ...contents, tables: [{ ...table, parts: [{ ...part, rows: -1 }] }] },
    'a broken count': { ...contents, tables: [{ ...table, parts: [{ ...part, rows: 0.5 }] }] },
    'a size in words': { ...contents, tables: [{ ...table, sizeBytes: 'large' }] },
  };
  for (const [what, value] of Object.entries(damages)) {
    it(`with ${what} is refused`, () => {
      assert.throws(() => parse(value), {
        kind: 'integrity',
        message: /^object "shop\/1\/contents\.json\.zst\.aes" is not/,
      });
    });
  }

  it('that is not UTF-8 is refused', () => {
    const bytes = Buffer.from(formatContents(tables), 'latin1');
    assert.throws(() => parseContents(bytes, 'contents'), { kind: 'integrity' });
  });
});

function object(role: ObjectRole, name: string): ManifestObject {
  return { name, role, plainBytes: 1000, storedBytes: 500, sha256: '0123456789abcdef'.repeat(4) };
}

const several = {
  schema: object('schema', 'schema.dump.zst.aes'),
  remainder: object('remainder', 'remainder.dump.zst.aes'),
  first: object('data', 'data-001.sql.zst.aes'),
  second: object('data', 'data-002.sql.zst.aes'),
  contents: object('contents', 'contents.json.zst.aes'),
};
const archive = object('archive', 'archive.dump.zst.aes');

function parseWith(objects: readonly unknown[]): readonly ManifestObject[] {
  const manifest = { ...sampleManifest({}), objects };
  return parseManifest(Buffer.from(JSON.stringify(manifest)), 'shop/1/manifest.json').objects;
}

describe('a manifest of several streams', () => {
  it('is read, with data objects and without', () => {
    const objects = Object.values(several);
    assert.deepEqual(parseWith(objects), objects);
    const { schema, remainder, contents: table } = several;
    assert.equal(parseWith([table, remainder, schema]).length, 3);
  });

  const { schema, remainder, first, contents: list } = several;
  const damages: Readonly<Record<string, readonly [objects: readonly unknown[], reason: RegExp]>> = {
    'no objects': [[], /objects/],
    'no schema': [[remainder, first, list], /neither one archive nor a schema, its contents and a remainder/],
    'no remainder': [[schema, first, list], /neither one archive/],
    'no contents': [[schema, remainder, first], /neither one archive/],
    'data only': [[first], /neither one archive/],
    'two schemas': [[schema, { ...schema, name: 'other.dump' }, remainder, list], /neither one archive/],
    'two remainders': [[schema, remainder, { ...remainder, name: 'other.dump' }, list], /neither one archive/],
    'two tables of contents': [[schema, remainder, list, { ...list, name: 'other.json' }], /neither one archive/],
    'an archive beside them': [[...Object.values(several), archive], /neither one archive/],
    'two archives': [[archive, { ...archive, name: 'other.dump' }], /neither one archive/],
    'two objects of one name': [
      [schema, remainder, first, { ...first, plainBytes: 1 }, list],
      /two objects have one name/,
    ],
    'an unknown role': [[schema, remainder, { ...first, role: 'rows' }, list], /objects\.2\.role/],
    'a name that leaves the folder': [[schema, remainder, { ...first, name: '../data' }, list], /objects\.2\.name/],
  };
  for (const [what, [objects, reason]] of Object.entries(damages)) {
    it(`with ${what} is damaged`, () => {
      assert.throws(() => parseWith(objects), { kind: 'integrity', message: reason });
    });
  }
});
