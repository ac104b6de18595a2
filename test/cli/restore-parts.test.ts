import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { openBackup } from '../../src/backup/open-backup.ts';
import { restoreToDatabase } from '../../src/backup/restore-to-database.ts';
import type { Manifest } from '../../src/catalog/manifest.ts';
import type { ByteStream } from '../../src/core/byte-stream.ts';
import { resolveConnection } from '../../src/postgres/connection.ts';
import type { GetOptions } from '../../src/storage/object-store.ts';
import { openStore } from '../../src/storage/open-store.ts';
import { assertEmptyDatabase, assertFailure, assertNoDatabase } from '../support/cli-assertions.ts';
import { MemoryStore } from '../support/memory-store.ts';
import { quietContext } from '../support/quiet-context.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';
import { createPlainStreamsDatabase } from '../support/streams-database.ts';
import { listAll } from '../support/test-bytes.ts';

let teller: StoryTeller;
let story: Story;
let backup: Manifest;
before(async () => {
  teller = await openStoryTeller();
  await createPlainStreamsDatabase(teller.cluster, 'source');
  await teller.cluster.runSql(
    'source',
    `CREATE SCHEMA extra; CREATE TABLE extra.facts AS SELECT n FROM generate_series(1, 5) AS n;
     CREATE TABLE extra.middle_rows AS SELECT n FROM generate_series(1, 7) AS n;
     CREATE SEQUENCE extra.numbers START 42; SELECT nextval('extra.numbers');
     CREATE VIEW extra.total AS SELECT count(*) AS total FROM extra.facts;`,
  );
  story = teller.story();
  backup = await story.create('source', `${aesKey} --jobs 2`);
});
after(async () => await teller[Symbol.asyncDispose]());

/** Tables with their numbers of rows. */
async function rowsIn(database: string): Promise<Record<string, number>> {
  const sql = `SELECT format('%I.%I', relnamespace::regnamespace, relname) AS name FROM pg_class
    WHERE relkind = 'r' AND oid >= 16384 ORDER BY 1`;
  const tables = await teller.cluster.query<{ name: string }>(database, sql);
  const counts = tables.map(async ({ name }) => {
    const [row] = await teller.cluster.query<{ count: number }>(database, `SELECT count(*)::int FROM ${name}`);
    return [name.replace('public.', ''), row?.count ?? -1] as const;
  });
  return Object.fromEntries(await Promise.all(counts));
}

interface Part {
  readonly what: string;
  readonly schemas?: readonly string[];
  readonly tables?: readonly string[];
  readonly rows: Readonly<Record<string, number>>;
  /** Objects that are read, without their endings. */
  readonly read: (data: Readonly<Record<'large' | 'middle', readonly string[]>>) => readonly string[];
}

const parts: readonly Part[] = [
  {
    what: 'a table that is split',
    tables: ['large_rows'],
    rows: { large_rows: 220_000 },
    read: ({ large }) => ['contents', ...large, 'schema'],
  },
  {
    what: 'a table with an object of its own, in one of two schemas',
    schemas: ['public'],
    tables: ['middle_rows'],
    rows: { middle_rows: 30_000 },
    read: ({ middle }) => ['contents', ...middle, 'schema'],
  },
  {
    what: 'a table in the remainder',
    tables: ['small_rows'],
    rows: { small_rows: 10 },
    read: () => ['contents', 'remainder', 'schema'],
  },
  {
    what: 'a table in the remainder that has the name of one with an object of its own',
    schemas: ['extra'],
    tables: ['middle_rows'],
    rows: { 'extra.middle_rows': 7 },
    read: () => ['contents', 'remainder', 'schema'],
  },
  {
    what: 'a name that two schemas have',
    schemas: ['public', 'extra'],
    tables: ['middle_rows'],
    rows: { middle_rows: 30_000, 'extra.middle_rows': 7 },
    read: ({ middle }) => ['contents', ...middle, 'remainder', 'schema'],
  },
  {
    what: 'a schema',
    schemas: ['extra'],
    rows: { 'extra.facts': 5, 'extra.middle_rows': 7 },
    read: () => ['contents', 'remainder', 'schema'],
  },
];

/** A copy in memory of the story's store, which knows what was read of it. */
class ReadStore extends MemoryStore {
  readonly gets = new Set<string>();

  static async copyOf(url: string): Promise<ReadStore> {
    const copy = new ReadStore();
    await using store = await openStore(url, {});
    for (const { key } of await listAll(store.list(''))) await copy.put(key, store.get(key));
    return copy;
  }

  override get(key: string, options?: GetOptions): ByteStream {
    this.gets.add(key);
    return super.get(key, options);
  }

  /** Names of the objects of the backup that were read, without their endings. */
  get objects(): string[] {
    const names = [...this.gets].map((key) => /([^/.]+)\.[^/]*$/.exec(key)?.[1] ?? key);
    return names.filter((name) => name !== 'manifest').toSorted();
  }
}

describe('a part of a backup of several streams', () => {
  let store: ReadStore;
  let data: Record<'large' | 'middle', string[]>;
  const context = quietContext();
  const open = async () => {
    const selector = { by: 'id', id: backup.id, label: undefined } as const;
    return await openBackup({ store, selector, keys: { keys: [`file:${story.folder}/aes.key`] } }, context);
  };
  before(async () => {
    store = await ReadStore.copyOf(story.storeUrl);
    using opened = await open();
    const contents = await opened.archive.streams?.contents(context.signal);
    const objectsOf = (table: string) => {
      const found = contents?.tables.find(({ schema, name }) => schema === 'public' && name === table);
      return (found?.parts ?? []).map(({ object }) => object.replace(/\..*$/, ''));
    };
    data = { large: objectsOf('large_rows'), middle: objectsOf('middle_rows') };
    assert.ok(data.large.length > 1);
    assert.equal(data.middle.length, 1);
  });

  for (const { what, schemas = [], tables = [], rows, read } of parts) {
    it(`is restored by name, and nothing else is read: ${what}`, async () => {
      const database = 'part';
      await teller.cluster.createDatabase(database);
      store.gets.clear();
      using opened = await open();
      const connection = resolveConnection(teller.cluster.url(database), {});
      const options = { schemas, tables };
      const target = { connection, mode: 'existing', options, clean: false, stallTimeoutMs: 60_000 } as const;
      await restoreToDatabase(opened.archive, target, context);
      assert.deepEqual(await rowsIn(database), rows);
      assert.deepEqual(store.objects, [...read(data)].toSorted());
      await teller.cluster.dropDatabase(database);
    });
  }

  it('brings the rest of a schema, too: a sequence with its value, a view', async () => {
    await teller.cluster.createDatabase('schema');
    await story.succeed(`restore ${aesKey} --target schema -n extra`);
    assert.equal(await teller.cluster.runSql('schema', 'SELECT total FROM extra.total'), '5\n');
    assert.equal(await teller.cluster.runSql('schema', `SELECT nextval('extra.numbers')`), '43\n');
  });

  it('takes the place of what is there, with --clean', async () => {
    await teller.cluster.createDatabase('cleaned');
    await teller.cluster.runSql('cleaned', 'CREATE TABLE theirs AS SELECT 1 AS n');
    await story.succeed(`restore ${aesKey} --target cleaned --clean -t small_rows`);
    assert.deepEqual(await rowsIn('cleaned'), { small_rows: 10 });
  });

  for (const [args, message] of [
    ['-t smal_rows', /table "smal_rows" not found/],
    ['-t small_rows -t larg_rows', /table "larg_rows" not found/],
    ['-n extr', /schema "extr" not found/],
    ['-n extra -t small_rows', /table "small_rows" not found/],
  ] as const) {
    it(`that is not in it fails, and leaves nothing: ${args}`, async () => {
      const expected = { code: 10, message, hint: /names/ };
      await teller.cluster.createDatabase('nothing');
      assertFailure(await story.run(`restore ${aesKey} --target nothing ${args}`), expected);
      await assertEmptyDatabase(teller.cluster, 'nothing');
      await teller.cluster.dropDatabase('nothing');
      assertFailure(await story.run(`restore ${aesKey} --target nothing --create-db ${args}`), expected);
      await assertNoDatabase(teller.cluster, 'nothing');
    });
  }

  it('is not restored by several sessions', async () => {
    const run = await story.run(`restore ${aesKey} --target nothing --create-db -t small_rows --jobs 2`);
    assertFailure(run, { code: 2, message: /several jobs .* for a part of a dump$/, hint: /Leave --jobs out/ });
    await assertNoDatabase(teller.cluster, 'nothing');
  });
});
