import assert from 'node:assert/strict';
import { chownSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { assertFailure, assertNoSession } from '../support/cli-assertions.ts';
import { assertSameDatabase } from '../support/database-difference.ts';
import { fingerprintDatabase, type DatabaseFingerprint } from '../support/database-fingerprint.ts';
import { readProcessFile } from '../support/child-processes.ts';
import { serverAccount } from '../support/postgres-account.ts';
import type { CliRun, RunningCli } from '../support/run-cli.ts';
import { isRoot, mountSmallDisk } from '../support/small-disk.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';
import { createPlainStreamsDatabase } from '../support/streams-database.ts';
import { waitUntil } from '../support/wait-until.ts';

let teller: StoryTeller;
let story: Story;
let empty: DatabaseFingerprint;
let original: DatabaseFingerprint;
before(async () => {
  teller = await openStoryTeller();
  await createPlainStreamsDatabase(teller.cluster, 'source');
  // An index that takes its time.
  await teller.cluster.runSql(
    'source',
    `CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.2); RETURN $1; END $$;
     CREATE INDEX slow_index ON small_rows (public.slow(n));`,
  );
  original = await fingerprintDatabase(teller.cluster, 'source');
  await teller.cluster.createDatabase('for_comparison');
  empty = await fingerprintDatabase(teller.cluster, 'for_comparison');
  story = teller.story();
  await story.create('source', `${aesKey} --jobs 2 --label streams`);
  await story.create('source', `${aesKey} --jobs 1 --label single`);
});
after(async () => await teller[Symbol.asyncDispose]());

type Mode = 'existing' | 'create' | 'swap';

const flags: Readonly<Record<Mode, string>> = { existing: '', create: '--create-db', swap: '--swap' };

/** A target as the mode wants it. */
async function makeTarget(mode: Mode): Promise<string> {
  const name = `to_${mode}`;
  if (mode !== 'create') await teller.cluster.createDatabase(name);
  if (mode === 'swap') await teller.cluster.runSql(name, `CREATE TABLE theirs AS SELECT 'kept' AS text`);
  return name;
}

/** The target is as it was - empty, not there, or the old one - and nothing of the restore is left on the server. */
async function assertUntouched(mode: Mode): Promise<void> {
  const name = `to_${mode}`;
  const sql = 'SELECT datname FROM pg_database WHERE starts_with(datname, $1)';
  const names = await teller.cluster.query<{ datname: string }>('postgres', sql, [name]);
  assert.deepEqual(
    names.map(({ datname }) => datname),
    mode === 'create' ? [] : [name],
  );
  await assertNoSession(teller.cluster, name);
  if (mode === 'existing') assertSameDatabase(await fingerprintDatabase(teller.cluster, name), empty);
  if (mode === 'swap') assert.equal(await teller.cluster.runSql(name, 'SELECT text FROM theirs'), 'kept\n');
  await teller.cluster.dropDatabase(name);
}

/** When a restore is to be met: the query that it then runs. */
const moments = {
  rows: String.raw`^COPY "?public"?\."?large_rows`,
  indexes: 'slow_index',
} as const;

async function startUntil(moment: keyof typeof moments, command: string): Promise<RunningCli> {
  const run = story.start(command);
  const sql = `SELECT FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid() AND query ~ $1`;
  const isThere = async () => (await teller.cluster.query('postgres', sql, [moments[moment]])).length > 0;
  await waitUntil(isThere, `the restore is at its ${moment}`, 30_000);
  return run;
}

const restore = (label: string, mode: Mode) =>
  `restore --label ${label} ${aesKey} --target to_${mode} ${flags[mode]} --jobs 2`;

describe('a restore with several sessions that is stopped leaves the target as it was', () => {
  for (const [label, moment, mode] of [
    ['streams', 'rows', 'existing'],
    ['streams', 'rows', 'create'],
    ['streams', 'indexes', 'existing'],
    ['streams', 'indexes', 'swap'],
    ['single', 'rows', 'existing'],
    ['single', 'indexes', 'create'],
  ] as const) {
    it(`by SIGTERM: ${label}, at the ${moment}, target ${mode}`, async () => {
      await makeTarget(mode);
      const run = await startUntil(moment, restore(label, mode));
      run.kill('SIGTERM');
      assertFailure(await run.ended, { code: 143, message: /^ended by SIGTERM$/, hint: null });
      await assertUntouched(mode);
    });

    // The rows of several streams take none.
    if (label === 'streams' && moment === 'rows') continue;
    it(`by the death of one client program: ${label}, at the ${moment}, target ${mode}`, async () => {
      await makeTarget(mode);
      const run = await startUntil(moment, restore(label, mode));
      const [child] = run.children().filter((pid) => /psql|pg_restore/.test(readProcessFile(pid, 'cmdline')));
      assert.ok(child !== undefined, 'no client program runs');
      process.kill(child, 'SIGKILL');
      assertFailure(await run.ended, {
        code: 10,
        message: /^(?:psql|pg_restore) failed \(killed by SIGKILL\)/,
        hint: null,
      });
      await assertUntouched(mode);
    });
  }

  it('by an end of its sessions on the server', async () => {
    await makeTarget('existing');
    const run = await startUntil('rows', restore('streams', 'existing'));
    const sql = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'to_existing'`;
    await teller.cluster.query('postgres', sql);
    assertFailure(await run.ended, { code: 10, message: /terminating connection|lost the connection|query failed/ });
    await assertUntouched('existing');
  });
});

describe('a restore with several sessions that could not clean up', () => {
  async function assertRefusedAndReplaced(): Promise<void> {
    const again = await story.run(restore('streams', 'existing'));
    assertFailure(again, {
      code: 50,
      message: /^database "to_existing" is not complete: a restore into it was interrupted$/,
      hint: /replace what is there with --clean\.$/,
    });
    await story.succeed(`restore --label streams ${aesKey} --target to_existing --clean`);
    assertSameDatabase(await fingerprintDatabase(teller.cluster, 'to_existing'), original);
    await teller.cluster.dropDatabase('to_existing');
  }

  async function assertMarked(): Promise<void> {
    const schema = await teller.cluster.runSql(
      'to_existing',
      `SELECT 'librelog_backup_restore_unfinished'::regnamespace`,
    );
    assert.equal(schema, 'librelog_backup_restore_unfinished\n');
  }

  for (const moment of ['rows', 'indexes'] as const) {
    it(`for it was killed at the ${moment} leaves a mark, which the next one sees`, async () => {
      await makeTarget('existing');
      const run = await startUntil(moment, restore('streams', 'existing'));
      run.kill('SIGKILL');
      assert.equal((await run.ended).signal, 'SIGKILL');
      await assertNoSession(teller.cluster, 'to_existing');
      await assertMarked();
      await assertRefusedAndReplaced();
    });

    it(`for it was killed at the ${moment} leaves no database of the name that it was to make`, async () => {
      const run = await startUntil(moment, restore('streams', 'create'));
      run.kill('SIGKILL');
      assert.equal((await run.ended).signal, 'SIGKILL');
      const sql = `SELECT datname FROM pg_database WHERE datname ~ '^to_create'`;
      const names = (await teller.cluster.query<{ datname: string }>('postgres', sql)).map(({ datname }) => datname);
      assert.match(names.join(), /^to_create_restoring_[0-9a-f]{6}$/);
      await assertNoSession(teller.cluster, names.join());
      const { code, stderr } = await story.run(restore('streams', 'create'));
      assert.equal(code, 0, stderr);
      assert.match(
        stderr,
        new RegExp(`warn: database "${names.join()}" was left by a restore that was killed: drop it`),
      );
      for (const name of ['to_create', ...names]) await teller.cluster.dropDatabase(name);
    });
  }

  it('for the server was stopped says so, and leaves a mark', async () => {
    await makeTarget('existing');
    const run = await startUntil('rows', restore('streams', 'existing'));
    await teller.cluster.stop('immediate');
    const ended = await run.ended;
    await teller.cluster.start();
    assertFailure(ended, {
      code: 10,
      message: /psql failed|lost the connection|cannot connect|query failed/,
      hint: null,
    });
    assert.match(ended.stderr, /warn: cannot empty the database again: it holds nothing that can be used/);
    await assertMarked();
    await assertRefusedAndReplaced();
  });
});

describe('a restore with several sessions that the server does not let finish', () => {
  it('does not begin where it could not leave everything as it was', async () => {
    await makeTarget('existing');
    await teller.cluster.query('to_existing', 'CREATE EXTENSION citext');
    const run = await story.run(restore('streams', 'existing'));
    assertFailure(run, { code: 50, message: /^database "to_existing" has extensions, which/, hint: /--jobs 1/ });
    await story.succeed(`restore --label streams ${aesKey} --target to_existing --jobs 1`);
    await teller.cluster.dropDatabase('to_existing');
  });

  for (const mode of ['existing', 'create', 'swap'] as const) {
    for (const label of ['streams', 'single']) {
      it(`leaves the target as it was after rows that break a key: ${label}, target ${mode}`, async () => {
        const source = `double_${label}_${mode}`;
        await teller.cluster.createDatabase(source);
        await teller.cluster.runSql(source, 'CREATE TABLE double (n int PRIMARY KEY); INSERT INTO double VALUES (1)');
        const pretend = async (isReady: boolean) => {
          const sql = `UPDATE pg_index SET indisready = ${isReady} WHERE indexrelid = 'double_pkey'::regclass`;
          await teller.cluster.runSql(source, sql);
        };
        await pretend(false);
        await teller.cluster.runSql(source, 'INSERT INTO double VALUES (1)');
        await pretend(true);
        const own = teller.story();
        await own.create(source, `${aesKey} --label ${label} --jobs ${label === 'streams' ? 2 : 1}`);
        await makeTarget(mode);
        const run = await own.run(restore(label, mode));
        assertFailure(run, { code: 10, message: /could not create unique index "double_pkey"/, hint: null });
        await assertUntouched(mode);
      });
    }
  }

  it('for the role has no more connections', async () => {
    await teller.cluster.runSql('postgres', `CREATE ROLE few LOGIN PASSWORD 'few' CREATEDB CONNECTION LIMIT 2`);
    const env = { PGUSER: 'few', PGPASSWORD: 'few' };
    const run = await story.run(`${restore('streams', 'create')} --jobs 3 --no-owner`, { env });
    assertFailure(run, { code: 10, message: /too many connections for role "few"/, hint: /limit of the role/ });
    await assertUntouched('create');
  });

  it('for its disk is full', { skip: !isRoot && 'only root may mount' }, async () => {
    const location = join(teller.cluster.folder, 'small');
    using _disk = mountSmallDisk(location, 40 * 2 ** 20);
    const { uid, gid } = serverAccount() ?? assert.fail('root has an account for its servers');
    chownSync(location, uid, gid);
    await teller.cluster.query('postgres', `CREATE TABLESPACE small LOCATION '${location}'`);
    await makeTarget('existing');
    await teller.cluster.query('postgres', 'ALTER DATABASE to_existing SET TABLESPACE small');
    const run = await story.run(restore('streams', 'existing'));
    assertFailure(run, { code: 10, message: /No space left on device/, hint: /Free some space/ });
    await assertUntouched('existing');
    await teller.cluster.query('postgres', 'DROP TABLESPACE small');
  });

  it('unless it may have enough of them, and whatever limits of time it has', async () => {
    await teller.cluster.runSql(
      'postgres',
      `CREATE ROLE hurried LOGIN PASSWORD 'hurried' CREATEDB;
       ALTER ROLE hurried SET statement_timeout = '50ms'; ALTER ROLE hurried SET lock_timeout = '50ms';
       ALTER ROLE hurried SET idle_in_transaction_session_timeout = '50ms';
       ALTER ROLE hurried SET idle_session_timeout = '50ms';`,
    );
    const env = { PGUSER: 'hurried', PGPASSWORD: 'hurried' };
    const assertWhole = async (run: CliRun) => {
      assert.equal(run.code, 0, run.stderr);
      assert.equal(await teller.cluster.runSql('to_create', 'SELECT count(*) FROM large_rows'), '220000\n');
    };
    await assertWhole(await story.run(`${restore('streams', 'create')} --no-owner`, { env }));
    await assertWhole(
      await story.run(`restore --label streams ${aesKey} --target to_create --clean --no-owner`, { env }),
    );
    await teller.cluster.dropDatabase('to_create');
    await assertWhole(await story.run(`${restore('single', 'create')} --no-owner`, { env }));
    await teller.cluster.dropDatabase('to_create');
  });
});
