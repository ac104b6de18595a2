import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { dataTableOids } from '../../src/postgres/data-tables.ts';
import { assertCounted, openBackupObjects, restoreByHand, type BackupObjects } from '../support/backup-objects.ts';
import { assertNoSession, assertNothingBelow } from '../support/cli-assertions.ts';
import { assertSameDatabase } from '../support/database-difference.ts';
import { fingerprintDatabase } from '../support/database-fingerprint.ts';
import { relocatePostgres, type RelocatedPostgres } from '../support/relocated-postgres.ts';
import { everyKindExtension } from '../support/sample-database.ts';
import { aesKey, openStoryTeller, type StoryTeller } from '../support/story.ts';

const run = promisify(execFile);

/** Rows that make a table large enough to be copied apart. */
const rows = (count = 12_000) =>
  `SELECT n AS id, repeat(md5(n::text), 4) AS body FROM generate_series(1, ${count}) AS n`;

const tables = `
  CREATE SCHEMA a; CREATE SCHEMA "b c";
  CREATE TABLE a.large AS ${rows()};
  CREATE TABLE a.small AS ${rows(10)};
  CREATE TABLE a.empty (id int);
  CREATE TABLE a.nothing ();
  CREATE TABLE "b c"."Odd ""name"", $1 *? [x] \\d 'é' 中" AS ${rows()};
  CREATE TABLE "b c"."two
lines" AS ${rows()};
  CREATE TABLE large AS ${rows()};
  CREATE UNLOGGED TABLE not_logged AS ${rows()};
  CREATE UNLOGGED TABLE small_and_not_logged AS ${rows(10)};
  CREATE TABLE parts (id int, body text) PARTITION BY RANGE (id);
  CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (1) TO (10000);
  CREATE TABLE parts_2 PARTITION OF parts DEFAULT;
  INSERT INTO parts ${rows(22_000)};
  CREATE TABLE heir (more int) INHERITS (large);
  INSERT INTO heir ${rows()};
  CREATE MATERIALIZED VIEW view AS SELECT * FROM large;
  CREATE SEQUENCE counter; SELECT nextval('counter');
  CREATE SCHEMA ext; CREATE EXTENSION every_kind SCHEMA ext;
  INSERT INTO ext.every_setting SELECT 'ours ' || id, body FROM ONLY large;
  INSERT INTO ext.whole_table (note) SELECT body FROM ONLY large;
`;

let postgres: RelocatedPostgres;
let teller: StoryTeller;
before(async () => {
  postgres = await relocatePostgres(everyKindExtension);
  teller = await openStoryTeller({ binFolder: postgres.binFolder });
  await teller.cluster.createDatabase('shop');
  await teller.cluster.runSql('shop', tables);
});
after(async () => {
  await teller[Symbol.asyncDispose]();
  postgres[Symbol.dispose]();
});

async function listArchive(archive: string): Promise<number[]> {
  const { stdout } = await run(join(teller.cluster.binFolder, 'pg_restore'), ['--list', archive]);
  return dataTableOids(stdout);
}

/** The tables whose rows stock pg_dump would dump, by OID. */
async function askPgDump(args: readonly string[]): Promise<number[]> {
  const archive = join(teller.cluster.folder, 'by-hand.dump');
  const { cluster } = teller;
  await run(join(cluster.binFolder, 'pg_dump'), ['-Fc', '-Z0', '-f', archive, '-d', cluster.url('shop'), ...args]);
  return await listArchive(archive);
}

/** The OIDs of the tables in `contents`. */
async function oidsOf({ contents }: BackupObjects): Promise<number[]> {
  const found = await teller.cluster.query<{ oid: number }>(
    'shop',
    `SELECT c.oid::int AS oid FROM unnest($1::text[], $2::text[]) AS wanted (space, name)
     JOIN pg_class AS c ON c.relname = wanted.name AND c.relnamespace = quote_ident(wanted.space)::regnamespace`,
    [contents.tables.map(({ schema }) => schema), contents.tables.map(({ name }) => name)],
  );
  assert.equal(found.length, contents.tables.length);
  return found.map(({ oid }) => oid);
}

const byNumber = (a: number, b: number) => a - b;

/** By what they leave to be copied apart: how many tables that are. */
const filters: Readonly<Record<string, readonly [args: readonly string[], copied: number]>> = {
  'no filter': [[], 8],
  'one schema': [['-n', 'a'], 1],
  'a pattern of schemas': [['-n', 'b*'], 2],
  'not one schema': [['-N', 'b c'], 6],
  'one table': [['-t', 'large'], 1],
  'a pattern of tables, in any schema': [['-t', '*.l*'], 2],
  'tables with odd names': [['-t', '"b c".*'], 2],
  'not some tables': [['-T', 'a.*', '-T', 'parts_2'], 6],
  'a partitioned table, without its partitions': [['-t', 'parts'], 0],
  'some tables without rows': [['--exclude-table-data', 'large', '--exclude-table-data', '"b c".*'], 5],
  'no rows of unlogged tables': [['--', '--no-unlogged-table-data'], 7],
  'an extension left out': [['--', '--extension=plpgsql'], 8],
  'filters by their short names, after --': [['--', '-na', '-N', 'b c'], 1],
};

describe('every table is in exactly one place, and those are the tables that pg_dump dumps, with', () => {
  for (const [what, [args, copied]] of Object.entries(filters)) {
    it(what, async () => {
      const story = teller.story();
      const options = ['--jobs', '2', '--compress', 'none', ...aesKey.split(' '), ...args];
      const objects = await openBackupObjects(story, await story.create('shop', options));
      const expected = await askPgDump(args.filter((argument) => argument !== '--'));
      const places = [...(await listArchive(objects.remainder)), ...(await oidsOf(objects))];
      assert.deepEqual(places.toSorted(byNumber), expected.toSorted(byNumber));
      assert.equal(objects.contents.tables.length, copied);
    });
  }
});

describe('a backup of several streams', () => {
  for (const jobs of [2, 8]) {
    it(`restored by hand with stock psql and pg_restore is the database: jobs ${jobs}`, async () => {
      const story = teller.story();
      const { cluster } = teller;
      const objects = await openBackupObjects(story, await story.create('shop', `--jobs ${jobs} ${aesKey}`));
      await cluster.createDatabase(story.target);
      await restoreByHand(cluster, objects, story.target);
      assertSameDatabase(await fingerprintDatabase(cluster, story.target), await fingerprintDatabase(cluster, 'shop'));
      await cluster.dropDatabase(story.target);
    });
  }

  it('says how many rows of each table are in each object', async () => {
    const story = teller.story();
    const objects = await openBackupObjects(story, await story.create('shop', `--jobs 2 ${aesKey}`));
    assertCounted(objects);
    assert.equal(objects.contents.tables.length, 8);
  });

  it('is described by a dry run, which writes nothing', async () => {
    const story = teller.story();
    const text = await story.succeed(`create -d shop --jobs 2 --dry-run ${aesKey}`);
    assert.match(
      text,
      /^would back up "shop" .*\nwith .*pg_dump --format=custom .*\nto shop\/.*\/ in \d+ objects, 2 at once\n$/,
    );
    assertNothingBelow(story.storeFolder);
    await assertNoSession(teller.cluster, 'shop');
    const single = await story.succeed(`create -d shop --dry-run ${aesKey}`);
    assert.match(single, /\nto shop\/.*\/archive\.dump\.zst\.aes\n$/);
  });

  it('is refused with exit code 2 where a dump cannot be divided', async () => {
    const story = teller.story();
    for (const [args, reason] of [
      ['--format plain', /--format plain is one script/],
      ['--schema-only', /--schema-only cannot be divided/],
      ['-- --inserts', /--inserts cannot be divided/],
      ['-- --section=data', /--section cannot be divided/],
    ] as const) {
      const { code, stderr } = await story.run(`create -d shop --jobs 2 ${aesKey} ${args}`);
      assert.equal(code, 2, stderr);
      assert.match(stderr, reason);
      assert.match(stderr, /^HINT: Leave --jobs out\.$/m);
    }
    assertNothingBelow(story.storeFolder);
  });
});
