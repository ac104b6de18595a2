import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { assertFailure, assertNoSession, assertNothingBelow, entriesBelow } from '../support/cli-assertions.ts';
import { assertSameDatabase } from '../support/database-difference.ts';
import { fingerprintDatabase, type DatabaseFingerprint } from '../support/database-fingerprint.ts';
import { createLargeDatabase } from '../support/large-database.ts';
import { generatePair, type OpenPgpPair } from '../support/openpgp-pair.ts';
import type { RunningCli } from '../support/run-cli.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';
import { waitUntil } from '../support/wait-until.ts';

let teller: StoryTeller;
let pair: OpenPgpPair;
let original: DatabaseFingerprint;
before(async () => {
  teller = await openStoryTeller();
  await createLargeDatabase(teller.cluster, 'large', 30);
  original = await fingerprintDatabase(teller.cluster, 'large');
  pair = await generatePair(teller.story(), 'pair');
});
after(async () => await teller[Symbol.asyncDispose]());

/** Starts a backup that takes some seconds, and comes back when a part of it is in the store. */
async function startMidDump(story: Story, how = aesKey): Promise<RunningCli> {
  const run = story.start(`create -d large ${how} --compress zstd:9`);
  const isWriting = () =>
    entriesBelow(story.storeFolder).some((path) => statSync(path).isFile() && statSync(path).size > 0);
  await waitUntil(isWriting, 'the backup has written something');
  return run;
}

async function assertNothingLeft(story: Story): Promise<void> {
  assertNothingBelow(story.storeFolder);
  await assertNoSession(teller.cluster, 'large');
}

/** A plain create of the same database works at once: no lock, no leftover is in its way. */
async function assertNextSucceeds(story: Story): Promise<void> {
  const backup = await story.create('large');
  assert.match(await story.succeed(`verify ${backup.id} --level decrypt ${aesKey}`), /^verified/);
}

describe('a backup that is interrupted', () => {
  for (const [signal, method, code, message] of [
    ['SIGINT', 'AES-256', 130, /^interrupted by SIGINT$/],
    ['SIGTERM', 'AES-256', 143, /^ended by SIGTERM$/],
    ['SIGTERM', 'OpenPGP', 143, /^ended by SIGTERM$/],
  ] as const) {
    it(`by ${signal} leaves nothing, with ${method}`, async () => {
      const story = teller.story();
      const run = await startMidDump(story, method === 'OpenPGP' ? `--recipient ${pair.certificate}` : aesKey);
      const killedAt = performance.now();
      run.kill(signal);
      assertFailure(await run.ended, { code, message, hint: null });
      assert.ok(performance.now() - killedAt < 5000, 'took too long to end');
      await assertNothingLeft(story);
    });
  }

  it('by kill -9 is no backup, and the next one succeeds', async () => {
    const story = teller.story();
    const run = await startMidDump(story);
    run.kill('SIGKILL');
    const { signal, stdout } = await run.ended;
    assert.equal(signal, 'SIGKILL');
    assert.equal(stdout, '');
    assert.equal(await story.succeed('list'), 'no backups\n');
    const shown = await story.run('show');
    assertFailure(shown, { code: 21, message: /^no backup in "file:/ });
    await assertNoSession(teller.cluster, 'large');
    await assertNextSucceeds(story);
    assert.equal((await story.succeed('list')).trimEnd().split('\n').length, 2);
  });

  it('because pg_dump was killed leaves nothing', async () => {
    const story = teller.story();
    const run = await startMidDump(story);
    const [pgDump] = run.children();
    assert.ok(pgDump !== undefined, 'pg_dump is not running');
    process.kill(pgDump, 'SIGKILL');
    assertFailure(await run.ended, { code: 10, message: /^pg_dump failed \(killed by SIGKILL\)$/, hint: null });
    await assertNothingLeft(story);
  });

  it("because the server ended pg_dump's session leaves nothing", async () => {
    const story = teller.story();
    const run = await startMidDump(story);
    await endSessions('pg_dump');
    assertFailure(await run.ended, {
      code: 10,
      message: /^pg_dump failed .*(?:terminating|server closed the) connection/,
      hint: /log of the server/,
    });
    await assertNothingLeft(story);
  });

  it('because the session that holds its lock was lost leaves nothing', async () => {
    const story = teller.story();
    const run = await startMidDump(story);
    await endSessions('librelog-backup');
    assertFailure(await run.ended, {
      code: 10,
      message: /^lost the connection to postgresql:/,
      hint: /log of the server/,
    });
    await assertNothingLeft(story);
  });

  it('by another one of the same database goes on: the other one is refused', async () => {
    const story = teller.story();
    const run = await startMidDump(story);
    const second = await story.run(`create -d large ${aesKey}`);
    assertFailure(second, { code: 50, message: /^another backup of "large" is running/, hint: /Wait/ });
    const first = await run.ended;
    assert.equal(first.code, 0, first.stderr);
    assert.equal((await story.succeed('list')).trimEnd().split('\n').length, 2);
  });

  it('by a crash of the server leaves nothing', async () => {
    const story = teller.story();
    const run = await startMidDump(story);
    await teller.cluster.stop('immediate');
    const ended = await run.ended;
    await teller.cluster.start();
    assertFailure(ended, { code: 10, message: /^(?:pg_dump failed|lost the connection)/, hint: /log of the server/ });
    await assertNothingLeft(story);
    await assertNextSucceeds(story);
  });

  it('leaves the source as it was', async () => {
    assertSameDatabase(await fingerprintDatabase(teller.cluster, 'large'), original);
  });
});

async function endSessions(application: string): Promise<void> {
  const sql = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'large' AND application_name = $1`;
  const ended = await teller.cluster.query('postgres', sql, [application]);
  assert.equal(ended.length, 1);
}
