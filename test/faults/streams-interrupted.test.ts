import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { childrenOf, readProcessFile } from '../support/child-processes.ts';
import { assertFailure, assertNoSession, assertNothingBelow, entriesBelow } from '../support/cli-assertions.ts';
import { makeGatedTools } from '../support/gated-tools.ts';
import { createLargeDatabase } from '../support/large-database.ts';
import { openOtherSession } from '../support/other-session.ts';
import type { RunningCli } from '../support/run-cli.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';
import { waitUntil } from '../support/wait-until.ts';

let teller: StoryTeller;
before(async () => {
  teller = await openStoryTeller();
  await createLargeDatabase(teller.cluster, 'large', 100);
  // For pg_dump to have much to do as well.
  const object = `lo_from_bytea(0, (SELECT string_agg(sha512((n * 1000 + m)::text::bytea), '') FROM generate_series(1, 8000) AS m))`;
  await teller.cluster.runSql('large', `SELECT ${object} FROM generate_series(1, 40) AS n`);
});
after(async () => await teller[Symbol.asyncDispose]());

/** Slow enough to be met in the middle, with all streams waiting for the store. */
const create = `create -d large --jobs 3 --compress none --upload-rate 4 ${aesKey}`;

/** Starts a backup, and comes back when bytes flow through psql and pg_dump into the store. */
async function startMidDump(story: Story): Promise<RunningCli> {
  const run = story.start(create);
  const isWriting = (object: RegExp) =>
    entriesBelow(story.storeFolder).some((path) => object.test(path) && (sizeOf(path) ?? 0) > 0);
  const isMidDump = () => isWriting(/data-\d+/) && isWriting(/remainder/);
  await waitUntil(isMidDump, 'data is on its way');
  return run;
}

function sizeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}

function childrenNamed(run: RunningCli, name: string): number[] {
  return run.children().filter((pid) => readProcessFile(pid, 'comm').trim() === name);
}

async function assertNothingLeft(story: Story): Promise<void> {
  assertNothingBelow(story.storeFolder);
  await assertNoSession(teller.cluster, 'large');
}

/** Ends sessions in the database, as an administrator would; gives their number. */
async function endSessions(where: string): Promise<number> {
  const sql = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'large' AND ${where}`;
  return (await teller.cluster.query('postgres', sql)).length;
}

describe('a backup of several streams that is interrupted', () => {
  for (const [signal, code, message] of [
    ['SIGINT', 130, /^interrupted by SIGINT$/],
    ['SIGTERM', 143, /^ended by SIGTERM$/],
  ] as const) {
    it(`by ${signal} leaves nothing`, async () => {
      const story = teller.story();
      const run = await startMidDump(story);
      const killedAt = performance.now();
      run.kill(signal);
      assertFailure(await run.ended, { code, message, hint: null });
      assert.ok(performance.now() - killedAt < 5000, 'took too long to end');
      await assertNothingLeft(story);
    });
  }

  it('by kill -9 is no backup, leaves nothing on the server, and the next one succeeds', async () => {
    const story = teller.story();
    const run = await startMidDump(story);
    run.kill('SIGKILL');
    assert.equal((await run.ended).signal, 'SIGKILL');
    assert.equal(await story.succeed('list'), 'no backups\n');
    await assertNoSession(teller.cluster, 'large');
    await story.create('large', `--jobs 2 ${aesKey}`);
    assert.equal((await story.succeed('list')).trimEnd().split('\n').length, 2);
  });

  for (const program of ['psql', 'pg_dump'] as const) {
    it(`because one ${program} was killed leaves nothing`, async () => {
      const story = teller.story();
      const run = await startMidDump(story);
      const [victim] = childrenNamed(run, program);
      assert.ok(victim !== undefined, `${program} does not run`);
      process.kill(victim, 'SIGKILL');
      const message = new RegExp(`^${program} failed \\(killed by SIGKILL\\)$`);
      assertFailure(await run.ended, { code: 10, message, hint: null });
      await assertNothingLeft(story);
    });

    it(`because the server ended the session of one ${program} leaves nothing`, async () => {
      const story = teller.story();
      const run = await startMidDump(story);
      assert.ok((await endSessions(`application_name = '${program}'`)) > 0);
      assertFailure(await run.ended, {
        code: 10,
        message: new RegExp(`^${program} failed .*(?:terminating|server closed the|lost) `),
        hint: /log of the server/,
      });
      await assertNothingLeft(story);
    });
  }

  it('because the session that holds the snapshot was lost leaves nothing', async () => {
    const story = teller.story();
    const run = await startMidDump(story);
    assert.equal(await endSessions(`application_name = 'librelog-backup' AND state = 'idle in transaction'`), 1);
    assertFailure(await run.ended, {
      code: 10,
      message: /^lost the connection to postgresql:/,
      hint: /log of the server/,
    });
    await assertNothingLeft(story);
  });

  it('because the session that holds its lock was lost leaves nothing', async () => {
    const story = teller.story();
    const run = await startMidDump(story);
    assert.equal(await endSessions(`application_name = 'librelog-backup' AND state = 'idle'`), 1);
    assertFailure(await run.ended, {
      code: 10,
      message: /^lost the connection to postgresql:/,
      hint: /log of the server/,
    });
    await assertNothingLeft(story);
  });

  it('because the snapshot was lost before anybody took it leaves nothing', async () => {
    using tools = await makeGatedTools(teller.cluster);
    const story = teller.story();
    const gate = tools.addGate({ tool: 'pg_dump', argument: '--section=data', hold: 'before' });
    const run = story.start(`${create} --pg-bin ${tools.folder}`);
    await gate.reached();
    assert.equal(await endSessions(`application_name = 'librelog-backup' AND state = 'idle in transaction'`), 1);
    gate.open();
    assertFailure(await run.ended, {
      code: 10,
      message: /^lost the connection to|invalid snapshot identifier/,
      hint: /log of the server/,
    });
    await assertNothingLeft(story);
  });

  it('by a crash of the server leaves nothing', async () => {
    const story = teller.story();
    const run = await startMidDump(story);
    await teller.cluster.stop('immediate');
    const ended = await run.ended;
    await teller.cluster.start();
    const message = /^(?:pg_dump failed|psql failed|lost the connection)/;
    assertFailure(ended, { code: 10, message, hint: /log of the server/ });
    await assertNothingLeft(story);
  });

  it('by another one of the same database goes on: the other one is refused', async () => {
    const story = teller.story();
    const run = await startMidDump(story);
    const second = await story.run(`create -d large ${aesKey} --jobs 2`);
    assertFailure(second, { code: 50, message: /^another backup of "large" is running/, hint: /Wait/ });
    run.kill('SIGTERM');
    await run.ended;
  });

  it('ends a query of psql on the server even when it sends no row', async () => {
    using tools = await makeGatedTools(teller.cluster);
    const story = teller.story();
    const gate = tools.addGate({ tool: 'psql', hold: 'before' });
    const run = story.start(`create -d large --jobs 2 --pg-bin ${tools.folder} ${aesKey}`);
    await gate.reached();
    await using other = await openOtherSession(teller.cluster, 'large');
    // The planner wants to read it before a row is read.
    await other.run('BEGIN; LOCK TABLE pg_catalog.pg_statistic IN ACCESS EXCLUSIVE MODE');
    gate.open();
    // Not by a query: that would wait as well.
    const waiting = () => backendTitles().filter((title) => / large .* waiting/.test(title)).length;
    await waitUntil(() => waiting() > 0, 'a query waits');
    run.kill('SIGTERM');
    assertFailure(await run.ended, { code: 143, message: /^ended by SIGTERM$/, hint: null });
    await waitUntil(() => waiting() === 0, 'no query waits any more', 3000);
    await other.run('ROLLBACK');
    await assertNothingLeft(story);
  });
});

/** What the server's processes say they do. */
function backendTitles(): string[] {
  return childrenOf(teller.cluster.pid).map((pid) => readProcessFile(pid, 'cmdline'));
}
