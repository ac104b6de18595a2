import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import {
  assertFailure,
  assertNoSession,
  assertNothingBelow,
  entriesBelow,
  type ExpectedFailure,
} from '../support/cli-assertions.ts';
import { makeGatedTools, type Gate, type GatedTools, type GateRules } from '../support/gated-tools.ts';
import { createLargeDatabase } from '../support/large-database.ts';
import { openOtherSession } from '../support/other-session.ts';
import type { RunningCli } from '../support/run-cli.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';
import { waitUntil } from '../support/wait-until.ts';

let teller: StoryTeller;
before(async () => {
  teller = await openStoryTeller();
  await createLargeDatabase(teller.cluster, 'large', 40);
});
after(async () => await teller[Symbol.asyncDispose]());

let database: string;
let databases = 0;
let tools: GatedTools;
beforeEach(async () => {
  databases += 1;
  database = `large_${databases}`;
  await teller.cluster.createDatabase(database, { from: 'large' });
  tools = await makeGatedTools(teller.cluster);
});
afterEach(async () => {
  tools[Symbol.dispose]();
  await teller.cluster.dropDatabase(database);
});

async function assertNothingLeft(story: Story): Promise<void> {
  assertNothingBelow(story.storeFolder);
  await assertNoSession(teller.cluster, database);
}

/** Moments of a backup of several streams, by the call of a client program at that moment. */
const moments = {
  /** pg_dump is about to lock what it sees in the snapshot. */
  'after the snapshot': { tool: 'pg_dump', argument: '--section=data', hold: 'before' },
  /** pg_dump has said which tables there are, and still has its locks; the snapshot's session has none. */
  'before its tables are locked': { tool: 'pg_restore', hold: 'after' },
  /** All tables are locked. */
  'when the rest is dumped': { tool: 'pg_dump', argument: '--exclude-table-data', hold: 'before' },
  'when rows are copied': { tool: 'psql', hold: 'before' },
} as const satisfies Record<string, GateRules>;

/** Starts a backup and holds it at that moment; the schema is dumped by then. */
async function startAndHold(
  story: Story,
  moment: keyof typeof moments,
  args = '',
): Promise<{ readonly run: RunningCli; readonly gate: Gate }> {
  const gate = tools.addGate(moments[moment]);
  const run = story.start(`create -d ${database} --jobs 2 --pg-bin ${tools.folder} ${aesKey} ${args}`);
  await gate.reached();
  const isStored = () => entriesBelow(story.storeFolder).some((path) => /\/schema\.dump[^/]*$/.test(path));
  await waitUntil(isStored, 'the schema is stored');
  return { run, gate };
}

const gone: ExpectedFailure = {
  code: 10,
  message: /^cannot lock the tables: relation "public\.large" does not exist$/,
  hint: /backup again/,
};
const rewritten: ExpectedFailure = {
  code: 10,
  message: /^table "public\.large" was rewritten or replaced while the backup began$/,
  hint: /backup again/,
};
const replaceTable = `BEGIN; DROP TABLE large; CREATE TABLE large (n int, text text); INSERT INTO large VALUES (1); COMMIT`;
/** As a change from blue to green. */
const swapSchemas = `BEGIN; CREATE SCHEMA green; CREATE TABLE green.large (LIKE public.large);
  ALTER SCHEMA public RENAME TO blue; ALTER SCHEMA green RENAME TO public; COMMIT`;

describe('a backup of several streams during a schema change', () => {
  for (const [what, sql, expected] of [
    ['dropped', 'DROP TABLE large', gone],
    ['renamed', 'ALTER TABLE large RENAME TO other', gone],
    ['emptied', 'TRUNCATE large', rewritten],
    ['rewritten', 'ALTER TABLE large ALTER n TYPE bigint', rewritten],
    ['replaced by another of its name', replaceTable, rewritten],
  ] as const) {
    it(`fails when a table is ${what} before its tables are locked`, async () => {
      const story = teller.story();
      const { run, gate } = await startAndHold(story, 'before its tables are locked');
      await using other = await openOtherSession(teller.cluster, database);
      const { outcome } = await other.startWaiting(sql);
      gate.open();
      assertFailure(await run.ended, expected);
      await outcome;
      await assertNothingLeft(story);
    });
  }

  it('fails when a table is dropped right after the snapshot', async () => {
    const story = teller.story();
    const { run, gate } = await startAndHold(story, 'after the snapshot');
    await teller.cluster.query(database, 'DROP TABLE large');
    gate.open();
    assertFailure(await run.ended, {
      code: 10,
      message: /^pg_dump failed .* relation "public\.large" does not exist/,
      hint: /Try again/,
    });
    await assertNothingLeft(story);
  });

  for (const moment of ['when the rest is dumped', 'when rows are copied'] as const) {
    it(`keeps its tables ${moment}: who cannot wait is refused, and the backup is whole`, async () => {
      const story = teller.story();
      const { run, gate } = await startAndHold(story, moment);
      const drop = `SET lock_timeout = '100ms'; DROP TABLE large`;
      await assert.rejects(teller.cluster.query(database, drop), /canceling statement due to lock timeout/);
      gate.open();
      const { code, stderr } = await run.ended;
      assert.equal(code, 0, stderr);
      await assertNoSession(teller.cluster, database);
    });
  }

  it('fails when another schema takes the place of its own before rows are copied: no lock keeps that from happening', async () => {
    const story = teller.story();
    const { run, gate } = await startAndHold(story, 'when rows are copied');
    const isStored = () => entriesBelow(story.storeFolder).some((path) => /\/remainder\.dump[^/]*$/.test(path));
    await waitUntil(isStored, 'the remainder is stored');
    await teller.cluster.query(database, swapSchemas);
    gate.open();
    assertFailure(await run.ended, {
      code: 10,
      message: /^psql found another table, or none, under the name "public"\."large": its schema was renamed$/,
      hint: /backup again/,
    });
    await assertNothingLeft(story);
  });

  for (const [program, moment] of [
    ['pg_dump', 'when the rest is dumped'],
    ['psql', 'when rows are copied'],
  ] as const) {
    it(`fails, and lets the change go on, when it stands in line in front of a ${program}`, async () => {
      const story = teller.story();
      const { run, gate } = await startAndHold(story, moment, '--lock-wait-timeout 500ms');
      await using other = await openOtherSession(teller.cluster, database);
      const { outcome } = await other.startWaiting('ALTER TABLE large ALTER n TYPE bigint');
      gate.open();
      assertFailure(await run.ended, {
        code: 10,
        message: /^(?:pg_dump|psql) failed .* due to (?:lock|statement) timeout/,
        hint: /schema change/,
      });
      await outcome;
      await assertNothingLeft(story);
    });
  }

  for (const moment of ['after the snapshot', 'before its tables are locked'] as const) {
    it(`gives up on a lock that somebody holds, ${moment}, after --lock-wait-timeout`, async () => {
      const story = teller.story();
      const { run, gate } = await startAndHold(story, moment, '--lock-wait-timeout 300ms');
      await using other = await openOtherSession(teller.cluster, database);
      const lock = 'BEGIN; LOCK TABLE large';
      await (moment === 'after the snapshot' ? other.run(lock) : other.startWaiting(lock));
      gate.open();
      assertFailure(await run.ended, { code: 10, message: /due to (?:lock|statement) timeout/, hint: /schema change/ });
      await assertNothingLeft(story);
    });
  }

  for (const moment of ['after the snapshot', 'before its tables are locked'] as const) {
    it(`leaves no session in the line for a lock when it is interrupted, ${moment}`, async () => {
      const story = teller.story();
      const { run, gate } = await startAndHold(story, moment);
      await using other = await openOtherSession(teller.cluster, database);
      const lock = 'BEGIN; LOCK TABLE large';
      await (moment === 'after the snapshot' ? other.run(lock) : other.startWaiting(lock));
      gate.open();
      await waitUntil(async () => await isOneOfUsWaiting(), 'the backup waits for the lock');
      run.kill('SIGTERM');
      assertFailure(await run.ended, { code: 143, message: /^ended by SIGTERM$/, hint: null });
      // The lock is still held: only a query that was cancelled has ended.
      await assertNothingLeft(story);
    });
  }
});

async function isOneOfUsWaiting(): Promise<boolean> {
  const sql = `SELECT FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock'
    AND application_name IN ('librelog-backup', 'pg_dump')`;
  return (await teller.cluster.query('postgres', sql, [database])).length > 0;
}
