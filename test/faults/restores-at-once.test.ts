import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { assertEmptyDatabase, assertFailure, assertNoSession } from '../support/cli-assertions.ts';
import { assertSameDatabase } from '../support/database-difference.ts';
import { fingerprintDatabase, type DatabaseFingerprint } from '../support/database-fingerprint.ts';
import { openOtherSession, type OtherSession } from '../support/other-session.ts';
import type { RunningCli } from '../support/run-cli.ts';
import { createSmallDatabase } from '../support/sample-database.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';
import { waitUntil } from '../support/wait-until.ts';

let teller: StoryTeller;
let story: Story;
let original: DatabaseFingerprint;
before(async () => {
  teller = await openStoryTeller();
  await createSmallDatabase(teller.cluster, 'source');
  await teller.cluster.runSql('source', 'CREATE TABLE theirs (text text)');
  original = await fingerprintDatabase(teller.cluster, 'source');
  story = teller.story();
  await story.create('source', `${aesKey} --jobs 2 --label streams`);
  await story.create('source', `${aesKey} --jobs 1 --label single`);
});
after(async () => await teller[Symbol.asyncDispose]());

const restore = (target: string, options: string) => `restore --label streams ${aesKey} --target ${target} ${options}`;

async function isThere(sql: string, values: readonly unknown[]): Promise<boolean> {
  return (await teller.cluster.query('postgres', sql, values)).length > 0;
}

/** How far a restore gets while somebody holds a lock on a catalog of the target. */
const stops = {
  'the mark': ['pg_namespace', '^CREATE SCHEMA librelog_backup_restore_unfinished'],
  definitions: ['pg_proc', 'CREATE FUNCTION'],
} as const;

interface Held extends AsyncDisposable {
  readonly run: RunningCli;
  readonly other: OtherSession;
}

/** A restore that waits for another session, which has a transaction open. */
async function startAndHold(stop: keyof typeof stops, target: string, command: string): Promise<Held> {
  const [catalog, query] = stops[stop];
  const other = await openOtherSession(teller.cluster, target);
  await other.run(`BEGIN; LOCK TABLE ${catalog} IN SHARE MODE`);
  const run = story.start(command);
  const sql = `SELECT FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock' AND query ~ $2`;
  await waitUntil(async () => await isThere(sql, [target, query]), `the restore is at ${stop}`, 30_000);
  return { run, other, [Symbol.asyncDispose]: async () => await other[Symbol.asyncDispose]() };
}

async function assertRestored(target: string): Promise<void> {
  assertSameDatabase(await fingerprintDatabase(teller.cluster, target), original);
}

const anotherOne = (target: string) => ({
  code: 50,
  message: new RegExp(
    `^another restore into database "${target}" is running \\(server process \\d+, "librelog-backup"`,
  ),
  hint: /^Wait until it has ended, or end it\.$/,
});

describe('a second restore into the same database', () => {
  for (const first of ['--jobs 1', '--jobs 2']) {
    it(`fails at once, whatever it is, while one with ${first} is at work`, async () => {
      const target = `at_once_${first.slice(-1)}`;
      await teller.cluster.createDatabase(target);
      await using held = await startAndHold('definitions', target, restore(target, first));
      for (const second of ['--jobs 1', '--jobs 2', '--clean']) {
        assertFailure(await story.run(restore(target, second)), anotherOne(target));
      }
      await held.other.run('COMMIT');
      const { code, stderr } = await held.run.ended;
      assert.equal(code, 0, stderr);
      await assertRestored(target);
    });
  }

  it('is possible as soon as the first was killed', async () => {
    await teller.cluster.createDatabase('after_kill');
    await using held = await startAndHold('definitions', 'after_kill', restore('after_kill', '--jobs 1'));
    held.run.kill('SIGKILL');
    await held.other.run('COMMIT');
    await held.run.ended;
    await assertNoSession(teller.cluster, 'after_kill');
    await story.succeed(restore('after_kill', '--jobs 2'));
    await assertRestored('after_kill');
  });
});

describe('a restore with several sessions into a database that is not empty any more when it begins', () => {
  it('leaves what is there alone', async () => {
    await teller.cluster.createDatabase('filled');
    await using held = await startAndHold('the mark', 'filled', restore('filled', '--jobs 2'));
    await held.other.run(`CREATE TABLE theirs AS SELECT 'kept' AS text; COMMIT`);
    assertFailure(await held.run.ended, { code: 50, message: /^database "filled" is not empty: it has 1 relation$/ });
    await assertNoSession(teller.cluster, 'filled');
    assert.equal(await teller.cluster.runSql('filled', 'SELECT text FROM theirs'), 'kept\n');
    await teller.cluster.runSql('filled', 'DROP TABLE theirs');
    await assertEmptyDatabase(teller.cluster, 'filled');
  });
});

describe('a restore with several sessions that is stopped while it marks the database', () => {
  it('leaves no mark, even where the server does not take it back', async () => {
    const { cluster } = teller;
    await cluster.createDatabase('stopped');
    await using held = await startAndHold('the mark', 'stopped', restore('stopped', '--jobs 2'));
    // A commit that waits for a standby is done, whether the wait is cancelled or not.
    const setStandby = async (name: string) => {
      await cluster.query('postgres', `ALTER SYSTEM SET synchronous_standby_names = '${name}'`);
      await cluster.query('postgres', 'SELECT pg_reload_conf()');
      const shown = async () =>
        (
          await cluster.query<{ name: string }>(
            'postgres',
            `SELECT current_setting('synchronous_standby_names') AS name`,
          )
        )[0]?.name === name;
      await waitUntil(shown, 'the server has read its settings');
    };
    await setStandby('nobody');
    await held.other.run('ROLLBACK');
    const sql = `SELECT FROM pg_stat_activity WHERE datname = 'stopped' AND wait_event = 'SyncRep'`;
    await waitUntil(async () => await isThere(sql, []), 'the mark is committed');
    held.run.kill('SIGTERM');
    const marking = `SELECT FROM pg_stat_activity WHERE datname = 'stopped' AND query ~ '^CREATE SCHEMA'`;
    await waitUntil(async () => !(await isThere(marking, [])), 'the session that marks is gone');
    await setStandby('');
    assertFailure(await held.run.ended, { code: 143, message: /^ended by SIGTERM$/, hint: null });
    await assertEmptyDatabase(cluster, 'stopped');
  });
});

/** Ends the session that has been in the target for the longest time: one that only waits. */
async function endOldestSession(target: string): Promise<void> {
  const ended = await teller.cluster.query<{ state: string; isEnded: boolean }>(
    'postgres',
    `SELECT state, pg_terminate_backend(pid) AS "isEnded" FROM pg_stat_activity
     WHERE datname = $1 AND application_name = 'librelog-backup' ORDER BY backend_start LIMIT 1`,
    [target],
  );
  assert.match(ended[0]?.state ?? '', /^idle/);
}

describe('a restore that loses the session that only waits', () => {
  for (const label of ['streams', 'single']) {
    for (const jobs of [1, 2]) {
      it(`goes on: ${label}, ${jobs} jobs`, async () => {
        const target = `goes_on_${label}_${jobs}`;
        await teller.cluster.createDatabase(target);
        const command = `restore --label ${label} ${aesKey} --target ${target} --jobs ${jobs}`;
        await using held = await startAndHold('definitions', target, command);
        await endOldestSession(target);
        await held.other.run('COMMIT');
        const { code, stderr } = await held.run.ended;
        assert.equal(code, 0, stderr);
        await assertRestored(target);
      });
    }
  }

  for (const jobs of [1, 2]) {
    it(`stops, and empties nothing, when another restore has begun meanwhile: ${jobs} jobs`, async () => {
      const target = `taken_over_${jobs}`;
      await teller.cluster.createDatabase(target);
      await using held = await startAndHold('definitions', target, restore(target, `--jobs ${jobs}`));
      await using another = await openOtherSession(teller.cluster, target);
      const [lock] = await teller.cluster.query<{ first: number; second: number }>(
        target,
        `SELECT classid::int AS first, objid::int AS second FROM pg_locks WHERE locktype = 'advisory'
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
      );
      const { outcome } = await another.startWaiting(`SELECT pg_advisory_lock(${lock?.first}, ${lock?.second})`);
      await endOldestSession(target);
      await outcome;
      assertFailure(await held.run.ended, {
        code: 50,
        message: new RegExp(`^another restore into database "${target}" is running`),
      });
      const mark = `SELECT FROM pg_namespace WHERE nspname = 'librelog_backup_restore_unfinished'`;
      assert.equal((await teller.cluster.query(target, mark)).length, jobs - 1);
    });
  }
});
