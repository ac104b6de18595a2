import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { openBackupObjects } from '../support/backup-objects.ts';
import { assertSameDatabase } from '../support/database-difference.ts';
import { fingerprintDatabase, type DatabaseFingerprint } from '../support/database-fingerprint.ts';
import { aesKey, openStoryTeller, type StoryTeller } from '../support/story.ts';

const colours = ['red', 'green', 'blue', 'black', 'white', 'grey', 'pink', 'brown', 'olive', 'navy', 'teal', 'plum'];
const anyColour = `('{${colours.join(',')}}'::colour[])[1 + n % ${colours.length}]`;
const rows = `SELECT n, ${anyColour}, repeat(md5(n::text), 3) FROM generate_series(1, 24000) AS n`;

/** Halves of a table that is partitioned by hash. */
const halves = (name: string, more = '') =>
  [0, 1]
    .map((n) => `CREATE TABLE ${name}_${n} PARTITION OF ${name} FOR VALUES WITH (MODULUS 2, REMAINDER ${n}) ${more};`)
    .join('\n');

/** The hash of a value of an enum is that of its OID: another one in every database. */
const tables = `
  CREATE TYPE colour AS ENUM (${colours.map((name) => `'${name}'`).join(', ')});
  CREATE DOMAIN paint AS colour;
  CREATE TABLE by_enum (id int, colour colour, body text) PARTITION BY HASH (colour);
  ${halves('by_enum')}
  CREATE TABLE by_domain (id int, paint paint, body text) PARTITION BY HASH (id, paint);
  ${halves('by_domain')}
  CREATE TABLE by_expression (id int, colour colour, body text) PARTITION BY HASH ((coalesce(colour, 'red')));
  ${halves('by_expression')}
  CREATE TABLE levels (id int, colour colour, body text) PARTITION BY HASH (colour);
  ${halves('levels', 'PARTITION BY RANGE (id)')}
  CREATE TABLE levels_0_all PARTITION OF levels_0 DEFAULT;
  CREATE TABLE levels_1_all PARTITION OF levels_1 DEFAULT;
  CREATE TABLE by_list (id int, colour colour, body text) PARTITION BY LIST (colour);
  CREATE TABLE by_list_red PARTITION OF by_list FOR VALUES IN ('red', 'green', 'blue', 'black', 'white');
  CREATE TABLE by_list_rest PARTITION OF by_list DEFAULT PARTITION BY HASH (id);
  ${halves('by_list_rest')}
  INSERT INTO by_enum ${rows}; INSERT INTO by_domain ${rows}; INSERT INTO by_expression ${rows};
  INSERT INTO levels ${rows}; INSERT INTO by_list ${rows};
`;

let teller: StoryTeller;
let original: DatabaseFingerprint;
before(async () => {
  teller = await openStoryTeller();
  await teller.cluster.createDatabase('shop');
  await teller.cluster.runSql('shop', tables);
  original = await fingerprintDatabase(teller.cluster, 'shop');
});
after(async () => await teller[Symbol.asyncDispose]());

describe('a backup of several streams of tables partitioned by the hash of an enum', () => {
  for (const jobs of [1, 2, 4]) {
    it(`comes back, restored with --jobs ${jobs}`, async () => {
      const story = teller.story();
      const { id } = await story.create('shop', `--jobs ${Math.max(2, jobs)} ${aesKey}`);
      await story.succeed(`restore ${id} --target ${story.target} --create-db ${aesKey} --jobs ${jobs}`);
      assertSameDatabase(await fingerprintDatabase(teller.cluster, story.target), original);
    });
  }

  it('leaves their rows to pg_dump, and takes those of others', async () => {
    const story = teller.story();
    const { contents } = await openBackupObjects(story, await story.create('shop', `--jobs 2 ${aesKey}`));
    assert.deepEqual(contents.tables.map(({ name }) => name).toSorted(), [
      'by_list_red',
      'by_list_rest_0',
      'by_list_rest_1',
    ]);
  });
});
