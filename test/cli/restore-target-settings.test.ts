import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { assertSameDatabase } from '../support/database-difference.ts';
import { fingerprintDatabase, type DatabaseFingerprint } from '../support/database-fingerprint.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';
import { createPlainStreamsDatabase } from '../support/streams-database.ts';

let teller: StoryTeller;
let story: Story;
let original: DatabaseFingerprint;
before(async () => {
  teller = await openStoryTeller();
  await createPlainStreamsDatabase(teller.cluster, 'source');
  await teller.cluster.runSql('source', definitions);
  original = await fingerprintDatabase(teller.cluster, 'source');
  story = teller.story();
  await story.create('source', `${aesKey} --jobs 2 --label streams`);
  await story.create('source', `${aesKey} --jobs 1 --label single`);
  await story.create('source', `${aesKey} --label plain --format plain`);
});
after(async () => await teller[Symbol.asyncDispose]());

/** Backslashes wherever a definition may have them, in such a way that nothing fails without them; NULLs within arrays. */
const definitions = String.raw`
  CREATE TYPE kind AS ENUM ('a\b', '\n');
  CREATE TABLE places (path text DEFAULT 'C:\temp', code text CHECK (code ~ '^\d+\.\d+$'), kind kind DEFAULT '\n');
  INSERT INTO places VALUES ('D:\new', NULL, NULL);
  CREATE TABLE lists AS SELECT n, ARRAY['a', NULL, 'NULL', n::text] AS members FROM generate_series(1, 20000) AS n;
  CREATE TABLE measures (span interval, day date, at timestamptz, ratio float8, bytes bytea, part xml);
  INSERT INTO measures
    VALUES ('-1 mon +3 days -02:03:00', '2026-02-01', '2026-02-01 12:00+02', 1 / 3.0, '\x005c', '<a/><b/>');
  COMMENT ON TABLE places IS 'a \ and ''quotes''';
  CREATE VIEW windows AS SELECT 'C:\a' || path AS path FROM places WHERE path LIKE '%\_%';
  CREATE FUNCTION split(text, separator text DEFAULT '\t') RETURNS text[] LANGUAGE sql
    AS $$ SELECT regexp_split_to_array($1, '\s') $$;
  CREATE INDEX middle_rows_digits ON middle_rows (id) WHERE text ~ '^\d';
  CREATE INDEX large_rows_digits ON large_rows (text) WHERE text ~ '^\d';
  COMMENT ON INDEX large_rows_digits IS 'begins with \d';`;

/** How a server may read the text that it is sent. */
const settings = [
  'standard_conforming_strings = off',
  'backslash_quote = off',
  'escape_string_warning = off',
  'array_nulls = off',
  "intervalstyle = 'sql_standard'",
  "datestyle = 'SQL, DMY'",
  "timezone = 'Asia/Kolkata'",
  'extra_float_digits = -15',
  "bytea_output = 'escape'",
  "xmloption = 'document'",
];

/** Where somebody may have put them. */
const places = { role: 'ROLE postgres', database: 'DATABASE target' } as const;
type Place = keyof typeof places;

async function alter(place: Place, changes: readonly string[]): Promise<void> {
  const sql = changes.map((change) => `ALTER ${places[place]} ${change}`);
  await teller.cluster.query('postgres', sql.join('; '));
}

/** Large enough for a session that has loaded rows to build its index. */
const latinTable = `
  SET client_encoding = 'UTF8';
  CREATE TABLE words AS SELECT n, encode(sha512(n::text::bytea), 'hex') AS text FROM generate_series(1, 220000) AS n;
  CREATE INDEX "größe" ON words (n) WHERE text <> 'ü';`;

const ways: readonly (readonly [label: string, flags: string, place: Place])[] = [
  ['streams', '--jobs 2', 'role'],
  ['streams', '--jobs 2', 'database'],
  ['streams', '--jobs 1', 'role'],
  ['streams', '--clean', 'role'],
  ['single', '--jobs 2', 'role'],
  ['single', '--jobs 2', 'database'],
  ['single', '--jobs 1', 'role'],
  ['single', '--clean', 'role'],
  ['plain', '', 'role'],
];

describe('a database comes back as it was', () => {
  for (const [label, flags, place] of ways) {
    it(`where the ${place} reads backslashes and NULL in another way: ${label} ${flags}`, async () => {
      await teller.cluster.dropDatabase('target');
      await teller.cluster.createDatabase('target');
      const changes = settings.map((setting) => `SET ${setting}`);
      await alter(place, changes);
      try {
        await story.succeed(`restore --label ${label} ${aesKey} --target target ${flags}`);
      } finally {
        await alter(place, ['RESET ALL']);
      }
      assertSameDatabase(await fingerprintDatabase(teller.cluster, 'target'), original);
    });
  }

  it('where rows are in another encoding than definitions', async () => {
    const { cluster } = teller;
    const latin = `ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0`;
    for (const name of ['latin', 'latin_target']) await cluster.query('postgres', `CREATE DATABASE ${name} ${latin}`);
    await cluster.runSql('latin', latinTable);
    await story.create('latin', `${aesKey} --jobs 2 --label latin`, { env: { PGOPTIONS: '-c client_encoding=UTF8' } });
    await story.succeed(`restore --label latin ${aesKey} --target latin_target --jobs 2`);
    const sql = `SELECT pg_get_indexdef('"größe"'::regclass) AS definition`;
    const [index] = await cluster.query<{ definition: string }>('latin_target', sql);
    assert.match(index?.definition ?? '', /'ü'/);
  });
});
