import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Manifest } from '../../src/catalog/manifest.ts';
import { assertFailure, assertNoDatabase, entriesBelow } from '../support/cli-assertions.ts';
import { assertSameDatabase } from '../support/database-difference.ts';
import { fingerprintDatabase, type DatabaseFingerprint } from '../support/database-fingerprint.ts';
import { createSmallDatabase } from '../support/sample-database.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';

let teller: StoryTeller;
let original: DatabaseFingerprint;
before(async () => {
  teller = await openStoryTeller();
  await createSmallDatabase(teller.cluster, 'small');
  await teller.cluster.runSql(
    'small',
    `CREATE SCHEMA extra; CREATE TABLE extra.facts AS SELECT n FROM generate_series(1, 10) n;
     CREATE ROLE clerk; ALTER TABLE extra.facts OWNER TO clerk; GRANT SELECT ON visits TO clerk;`,
  );
  original = await fingerprintDatabase(teller.cluster, 'small');
});
after(async () => await teller[Symbol.asyncDispose]());

async function tablesOf(database: string): Promise<string[]> {
  const sql = `SELECT relnamespace::regnamespace || '.' || relname AS name FROM pg_class
    WHERE relkind = 'r' AND oid >= 16384 ORDER BY 1`;
  return (await teller.cluster.query<{ name: string }>(database, sql)).map(({ name }) => name);
}

describe('the backup of a database, restored', () => {
  let story: Story;
  let backup: Manifest;
  before(async () => {
    story = teller.story();
    backup = await story.create('small');
  });
  const restore = (args: string) => `restore ${backup.id} ${aesKey} ${args}`;

  it('goes into an empty database that is there', async () => {
    await teller.cluster.createDatabase('empty');
    await story.succeed(restore('--target empty'));
    assertSameDatabase(await fingerprintDatabase(teller.cluster, 'empty'), original);
  });

  it('goes where a whole URL says, whatever PG* variables say', async () => {
    const wrong = { PGHOST: '127.0.0.1', PGPORT: '1', PGUSER: 'nobody', PGPASSWORD: 'nothing' };
    const target = teller.cluster.url('by_url');
    const run = await story.run(restore(`--create-db --target ${target}`), { env: wrong });
    assert.equal(run.code, 0, run.stderr);
    assert.doesNotMatch(run.stdout + run.stderr, new RegExp(teller.cluster.superuser.password));
    assertSameDatabase(await fingerprintDatabase(teller.cluster, 'by_url'), original);
  });

  it('replaces what is there with --clean', async () => {
    await teller.cluster.createDatabase('used', { from: 'small' });
    await teller.cluster.query('used', `DELETE FROM visits; UPDATE people SET name = 'changed'`);
    await story.succeed(restore('--target used --clean'));
    assertSameDatabase(await fingerprintDatabase(teller.cluster, 'used'), original);
  });

  it('gives one schema with -n', async () => {
    await teller.cluster.createDatabase('one_schema');
    await story.succeed(restore('--target one_schema -n extra'));
    assert.deepEqual(await tablesOf('one_schema'), ['extra.facts']);
  });

  it('gives one table with -t, and two with two', async () => {
    await teller.cluster.createDatabase('one_table');
    await story.succeed(restore('--target one_table -t people'));
    assert.deepEqual(await tablesOf('one_table'), ['public.people']);
    await teller.cluster.createDatabase('two_tables');
    await story.succeed(restore('--target two_tables -t people -t visits'));
    assert.deepEqual(await tablesOf('two_tables'), ['public.people', 'public.visits']);
  });

  it('fails on a table that is not in it, and leaves no database', async () => {
    const run = await story.run(restore('--target nothing -t peopel --create-db'));
    assertFailure(run, { code: 10, message: /table "peopel" not found/, hint: /names/ });
    await assertNoDatabase(teller.cluster, 'nothing');
  });

  it('leaves owners and privileges out when told to', async () => {
    await story.succeed(restore('--target ownerless --create-db --no-owner --no-privileges'));
    const rows = await teller.cluster.query<{ owner: string; acl: string | null }>(
      'ownerless',
      `SELECT relowner::regrole::text AS owner, relacl::text AS acl FROM pg_class WHERE relname IN ('facts', 'visits')`,
    );
    assert.deepEqual(rows, [
      { owner: 'postgres', acl: null },
      { owner: 'postgres', acl: null },
    ]);
  });

  it('goes to a file that pg_restore reads, for its owner only', async () => {
    assert.match(await story.succeed(restore('--output out.dump')), /^wrote [\d.]+ \w+ of dump to out\.dump\n$/);
    const path = join(story.folder, 'out.dump');
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(statSync(path).size, backup.objects[0]?.plainBytes);
    const contents = execFileSync(join(teller.cluster.binFolder, 'pg_restore'), ['--list', path], { encoding: 'utf8' });
    assert.match(contents, /TABLE DATA extra facts clerk/);
    assert.deepEqual(
      entriesBelow(story.folder).filter((name) => name.includes('partial')),
      [],
    );
  });

  it('goes to standard output, byte for byte the same, with nothing else on it', async () => {
    const run = await story.run(restore('--output -'));
    assert.equal(run.code, 0);
    assert.equal(run.stderr, '');
    assert.match(run.stdout, /^PGDMP/);
    await story.succeed(restore('--output again.dump'));
    assert.equal(run.stdout, readFileSync(join(story.folder, 'again.dump'), 'utf8'));
  });

  it('prints its table of contents', async () => {
    const contents = await story.succeed(restore('--list'));
    assert.match(contents, /^;\n; Archive created at /);
    assert.match(contents, /TABLE public people postgres/);
  });

  const contradictions = {
    'no destination': { args: '', message: /no destination given/ },
    'two destinations': { args: '--target x --output y', message: /more than one destination/ },
    'a file and --table': { args: '--output y -t orders', message: /--table are for a restore into a database/ },
    'a list and --schema': { args: '--list -n public', message: /--schema and --table are for/ },
    'a target and --list': { args: '--target x --list', message: /more than one destination/ },
    'an id and --at': { args: '--target x --at 2026-01-01', message: /an id and --at cannot both be given/ },
  } as const;
  for (const [what, { args, message }] of Object.entries(contradictions)) {
    it(`is a wrong command line with ${what}`, async () => {
      assertFailure(await story.run(restore(args)), { code: 2, message });
    });
  }
});

describe('which backup', () => {
  let story: Story;
  let older: Manifest;
  let newer: Manifest;
  before(async () => {
    story = teller.story();
    older = await story.create('small');
    // Times are chosen in whole seconds.
    while (Date.now() < Date.parse(older.startedAt) + 2000) await sleep(50);
    newer = await story.create('small');
  });
  const chosen = async (which: string) => {
    const { backup } = await story.ask<{ backup: { id: string } }>(`restore ${which} ${aesKey} --output chosen.dump`);
    return backup.id;
  };

  it('is the newest by default, and with latest', async () => {
    assert.equal(await chosen(''), newer.id);
    assert.equal(await chosen('latest'), newer.id);
  });

  it('is the one of the id', async () => assert.equal(await chosen(older.id), older.id));

  it('is the newest that is old enough with --at', async () => {
    assert.equal(await chosen(`--at ${older.finishedAt}`), older.id);
    assert.equal(await chosen(`--at ${newer.finishedAt}`), newer.id);
    const tooEarly = await story.run(`restore --at 2020-01-01T00:00:00Z ${aesKey} --output none.dump`);
    assertFailure(tooEarly, { code: 21, message: /no backup as old as that in "file:/, hint: /librelog-backup list/ });
    const wrong = await story.run(`restore --at yesterday ${aesKey} --output none.dump`);
    assertFailure(wrong, { code: 2, message: /"yesterday" is not a time/ });
    assert.equal(statSync(join(story.folder, 'none.dump'), { throwIfNoEntry: false }), undefined);
  });

  it('has to be said when there are several databases', async () => {
    await story.create('postgres', `${aesKey} --schema-only`);
    const run = await story.run(`restore latest ${aesKey} --target nowhere --create-db`);
    assertFailure(run, { code: 2, message: /holds backups of several databases: .*small/, hint: /--label/ });
    await assertNoDatabase(teller.cluster, 'nowhere');
    assert.equal(await chosen('--label small'), newer.id);
  });

  it('is not found by an id that is not there', async () => {
    const run = await story.run(`restore 20200101T000000Z-abcdef ${aesKey} --target nowhere --create-db`);
    assertFailure(run, { code: 21, message: /no backup "20200101T000000Z-abcdef" in "file:.*"/, hint: /list/ });
    await assertNoDatabase(teller.cluster, 'nowhere');
  });
});

describe('a plain dump', () => {
  it('refuses what only an archive can do, before anything is touched', async () => {
    const story = teller.story();
    await story.create('small', `${aesKey} --format plain`);
    for (const option of ['-n extra', '-t people', '--no-owner', '--no-privileges']) {
      const run = await story.run(`restore ${aesKey} --target ${story.target} --create-db ${option}`);
      assertFailure(run, { code: 2, message: /needs a custom-format dump/, hint: null });
      await assertNoDatabase(teller.cluster, story.target);
    }
    assertFailure(await story.run(`restore ${aesKey} --list`), { code: 2, message: /plain dump/, hint: null });
  });
});
