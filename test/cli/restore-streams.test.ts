import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Manifest } from '../../src/catalog/manifest.ts';
import { assertNoSession, assertNothingBelow } from '../support/cli-assertions.ts';
import { assertSameDatabase } from '../support/database-difference.ts';
import { fingerprintDatabase, type DatabaseFingerprint } from '../support/database-fingerprint.ts';
import { generatePair, type OpenPgpPair } from '../support/openpgp-pair.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';
import { createStreamsDatabase, streamTables } from '../support/streams-database.ts';
import { waitUntil } from '../support/wait-until.ts';

let teller: StoryTeller;
let story: Story;
let alice: OpenPgpPair;
let original: DatabaseFingerprint;
let backup: Manifest;
before(async () => {
  teller = await openStoryTeller();
  await createStreamsDatabase(teller.cluster, 'sample');
  original = await fingerprintDatabase(teller.cluster, 'sample');
  story = teller.story();
  alice = await generatePair(story, 'alice');
  backup = await story.create('sample', `${aesKey} --jobs 2 --label streams`);
});
after(async () => await teller[Symbol.asyncDispose]());

async function assertRestored(database: string): Promise<void> {
  assertSameDatabase(await fingerprintDatabase(teller.cluster, database), original);
  await assertNoSession(teller.cluster, database);
  await teller.cluster.dropDatabase(database);
}

async function databases(): Promise<string[]> {
  const rows = await teller.cluster.query<{ datname: string }>(
    'postgres',
    'SELECT datname FROM pg_database ORDER BY 1',
  );
  return rows.map(({ datname }) => datname);
}

describe('a backup of several streams', () => {
  it('has the objects that its restore is tested with: a table in one, and one in several', () => {
    const roles = backup.objects.map(({ role }) => role);
    assert.deepEqual([...new Set(roles)].toSorted(), ['contents', 'data', 'remainder', 'schema']);
    assert.ok(roles.filter((role) => role === 'data').length >= 3, roles.join());
  });

  for (const jobs of [1, 4]) {
    it(`comes back identical with --jobs ${jobs}, into a database that it makes`, async () => {
      const { jobs: used } = await story.ask<{ jobs: number }>(
        `restore ${backup.id} ${aesKey} --target made --create-db --jobs ${jobs}`,
      );
      assert.equal(used, jobs);
      await assertRestored('made');
    });
  }

  it('comes back identical with --jobs 2, into an empty one', async () => {
    await teller.cluster.createDatabase('empty');
    await story.succeed(`restore ${backup.id} ${aesKey} --target empty --jobs 2`);
    await assertRestored('empty');
  });

  it('has the key of a large table before it has the rows of others', async () => {
    const { split, whole } = streamTables;
    await teller.cluster.createDatabase('early');
    const holder = await teller.cluster.connect('early');
    const count = async (sql: string) => (await holder.query(sql)).rows.length;
    const run = story.start(`restore ${backup.id} ${aesKey} --target early --jobs 2`);
    const isThere = `SELECT WHERE to_regclass('public.${whole}') IS NOT NULL`;
    await waitUntil(async () => (await count(isThere)) === 1, 'the definitions are there');
    await holder.query(`BEGIN; LOCK TABLE public.${whole} IN SHARE MODE`);
    const key = `SELECT FROM pg_constraint WHERE conrelid = 'public.${split}'::regclass AND contype = 'p'`;
    await waitUntil(async () => (await count(key)) === 1, 'the key is there', 30_000);
    assert.equal(await count(`SELECT FROM public.${whole}`), 0);
    await holder.end();
    const { code, stderr } = await run.ended;
    assert.equal(code, 0, stderr);
    await assertRestored('early');
  });

  it('comes back identical with --fast, the rows of a whole table frozen', async () => {
    await story.succeed(`restore ${backup.id} ${aesKey} --target fast --create-db --jobs 2 --fast`);
    const visible = `ANALYZE; SELECT relname, relallvisible = relpages AS "isFrozen" FROM pg_class
      WHERE relname IN ('${streamTables.split}', '${streamTables.whole}') ORDER BY 1`;
    const [split, whole] = (await teller.cluster.runSql('fast', visible)).trim().split('\n');
    assert.deepEqual([split, whole], [`${streamTables.split}|f`, `${streamTables.whole}|t`]);
    await assertRestored('fast');
  });

  it('refuses --fast where others could see the rows, or for one session', async () => {
    await teller.cluster.createDatabase('slow');
    const existing = await story.run(`restore ${backup.id} ${aesKey} --target slow --jobs 2 --fast`);
    assert.equal(existing.code, 2, existing.stderr);
    const one = await story.run(`restore ${backup.id} ${aesKey} --target new --create-db --jobs 1 --fast`);
    assert.equal(one.code, 2, one.stderr);
    await teller.cluster.dropDatabase('slow');
  });

  for (const jobs of [1, 2]) {
    it(`comes back identical with --jobs ${jobs}, in the place of another one`, async () => {
      await teller.cluster.createDatabase('taken');
      await teller.cluster.runSql('taken', 'CREATE TABLE theirs AS SELECT 1 AS n');
      const { formerName } = await story.ask<{ formerName: string }>(
        `restore ${backup.id} ${aesKey} --target taken --swap --jobs ${jobs}`,
      );
      await assertRestored('taken');
      assert.equal(await teller.cluster.runSql(formerName, 'SELECT n FROM theirs'), '1\n');
      await teller.cluster.dropDatabase(formerName);
    });
  }

  it('comes back identical over what is there, with --clean', async () => {
    await teller.cluster.createDatabase('cleaned');
    await teller.cluster.runSql('cleaned', 'CREATE TABLE theirs AS SELECT 1 AS n; SELECT lo_create(4711)');
    await story.succeed(`restore ${backup.id} ${aesKey} --target cleaned --clean`);
    await assertRestored('cleaned');
  });

  it('leaves no other database', async () => {
    assert.deepEqual(await databases(), ['postgres', 'sample', 'template0', 'template1']);
  });

  it('comes back identical when it is encrypted with OpenPGP', async () => {
    const encrypted = await story.create('sample', `--recipient ${alice.certificate} --jobs 2 --label openpgp`);
    const open = `--private-key ${alice.privateKey}`;
    await story.succeed(`verify ${encrypted.id} --level decrypt ${open}`);
    await story.succeed(`restore ${encrypted.id} ${open} --target by_openpgp --create-db --jobs 2`);
    await assertRestored('by_openpgp');
  });

  it('comes back identical, with two sessions, when it has one stream', async () => {
    const single = await story.create('sample', `${aesKey} --jobs 1 --label single`);
    assert.deepEqual(
      single.objects.map(({ role }) => role),
      ['archive'],
    );
    await teller.cluster.createDatabase('empty');
    await story.succeed(`restore ${single.id} ${aesKey} --target empty --jobs 2`);
    await assertRestored('empty');
  });

  it('is one script in a file, which psql runs in one transaction', async () => {
    await story.succeed(`restore ${backup.id} ${aesKey} --output streams.sql`);
    const path = join(story.folder, 'streams.sql');
    await teller.cluster.createDatabase('by_psql');
    const args = ['--no-psqlrc', '--quiet', '--set=ON_ERROR_STOP=1', '--single-transaction', '--file', path];
    const env = { PATH: story.env['PATH'], ...teller.cluster.env('by_psql') };
    execFileSync(join(teller.cluster.binFolder, 'psql'), args, { env, stdio: 'ignore' });
    await assertRestored('by_psql');

    const piped = join(story.folder, 'piped.sql');
    const command = `'${process.execPath}' '${launcher}' restore ${backup.id} ${aesKey} --output - > '${piped}'`;
    execFileSync('sh', ['-c', command], { cwd: story.folder, env: story.env });
    assert.equal(withoutNonces(readFileSync(piped, 'latin1')), withoutNonces(readFileSync(path, 'latin1')));
  });

  it('lists everything in it', async () => {
    const contents = await story.succeed(`restore ${backup.id} ${aesKey} --list`);
    assert.match(contents, / TABLE public large_rows /);
    assert.match(contents, / CONSTRAINT public large_rows large_rows_pkey /);
  });

  for (const level of ['presence', 'digest', 'decrypt']) {
    it(`is proven by verify --level ${level}`, async () => {
      const { entries } = await story.ask<{ entries: number | null }>(`verify ${backup.id} --level ${level} ${aesKey}`);
      if (level === 'decrypt') assert.ok((entries ?? 0) > 100, String(entries));
      else assert.equal(entries, null);
    });
  }

  it('is shown with all its objects', async () => {
    const shown = await story.succeed(`show ${backup.id}`);
    for (const { name } of backup.objects) assert.ok(shown.includes(name), `${name} is not in: ${shown}`);
  });

  it('opens with a new key after keys rewrap', async () => {
    const rewrapped = await story.create('sample', `${aesKey} --jobs 2 --label rewrapped`);
    await story.succeed('keys generate aes-256 -o new.key');
    await story.succeed(`keys rewrap --label rewrapped ${aesKey} --to-key file:new.key --yes`);
    await story.succeed(`restore ${rewrapped.id} --key file:new.key --target again --create-db --jobs 2`);
    await assertRestored('again');
  });

  it('is gone after delete, with every object', async () => {
    const own = teller.story();
    const deleted = await own.create('sample', `${aesKey} --jobs 2`);
    await own.succeed(`delete ${deleted.id} --yes`);
    assertNothingBelow(join(own.storeFolder, 'sample'));
  });
});

const launcher = join(import.meta.dirname, '..', '..', 'bin', 'librelog-backup.js');

/** pg_restore writes another random word around each script. */
function withoutNonces(script: string): string {
  return script.replaceAll(/^\\(?:un)?restrict \w+$/gm, '');
}
