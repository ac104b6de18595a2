import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  assertEmptyDatabase,
  assertFailure,
  assertNoDatabase,
  assertNoSession,
  entriesBelow,
} from '../support/cli-assertions.ts';
import { createLargeDatabase } from '../support/large-database.ts';
import type { RunningCli } from '../support/run-cli.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';
import { waitUntil } from '../support/wait-until.ts';

let teller: StoryTeller;
let story: Story;
before(async () => {
  teller = await openStoryTeller();
  await createLargeDatabase(teller.cluster, 'large', 60);
  story = teller.story();
  await story.create('large', `${aesKey} --label archive`);
  await story.create('large', `${aesKey} --label script --format plain`);
});
after(async () => await teller[Symbol.asyncDispose]());

/** The ways in which rows get into a database. */
const paths = {
  'pg_restore of an archive': '--label archive',
  'psql of a script': '--label script',
  'psql of one table of an archive': '--label archive -t large',
} as const;

let targets = 0;
function newTarget(): string {
  targets += 1;
  return `restored_${targets}`;
}

/** Starts a restore, and comes back when the server is taking in the rows of the large table. */
async function startMidRestore(which: string, target: string): Promise<RunningCli> {
  const run = story.start(`restore ${which} ${aesKey} --target ${target}`);
  const sql = `SELECT FROM pg_stat_activity WHERE datname = $1 AND state = 'active' AND query ~ '^COPY public.large'`;
  const isCopying = async () => (await teller.cluster.query('postgres', sql, [target])).length > 0;
  await waitUntil(isCopying, 'the server takes in rows');
  return run;
}

describe('a restore that is interrupted leaves the target empty', () => {
  for (const [path, which] of Object.entries(paths)) {
    for (const [signal, code, message] of [
      ['SIGINT', 130, /^interrupted by SIGINT$/],
      ['SIGTERM', 143, /^ended by SIGTERM$/],
    ] as const) {
      it(`by ${signal}, through ${path}`, async () => {
        const target = newTarget();
        await teller.cluster.createDatabase(target);
        const run = await startMidRestore(which, target);
        const killedAt = performance.now();
        run.kill(signal);
        assertFailure(await run.ended, { code, message, hint: null });
        assert.ok(performance.now() - killedAt < 7000, 'took too long to end');
        await assertNoSession(teller.cluster, target);
        await assertEmptyDatabase(teller.cluster, target);
      });
    }

    it(`by kill -9, through ${path}`, async () => {
      const target = newTarget();
      await teller.cluster.createDatabase(target);
      const run = await startMidRestore(which, target);
      run.kill('SIGKILL');
      const { signal, stdout } = await run.ended;
      assert.equal(signal, 'SIGKILL');
      assert.equal(stdout, '');
      await assertNoSession(teller.cluster, target);
      await assertEmptyDatabase(teller.cluster, target);
    });

    it(`because the client program was killed, through ${path}`, async () => {
      const target = newTarget();
      await teller.cluster.createDatabase(target);
      const run = await startMidRestore(which, target);
      for (const child of run.children()) process.kill(child, 'SIGKILL');
      assertFailure(await run.ended, {
        code: 10,
        message: /^(?:pg_restore|psql) failed \(killed by SIGKILL\)/,
        hint: null,
      });
      await assertNoSession(teller.cluster, target);
      await assertEmptyDatabase(teller.cluster, target);
    });
  }

  it('because the server ended the session', async () => {
    const target = newTarget();
    await teller.cluster.createDatabase(target);
    const run = await startMidRestore(paths['pg_restore of an archive'], target);
    const sql = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1`;
    await teller.cluster.query('postgres', sql, [target]);
    assertFailure(await run.ended, { code: 10, message: /^pg_restore failed/, hint: /log of the server/ });
    await assertEmptyDatabase(teller.cluster, target);
  });
});

describe('a restore that is interrupted', () => {
  it('drops the database that it made', async () => {
    const target = newTarget();
    const run = await startMidRestore(`${paths['pg_restore of an archive']} --create-db`, target);
    run.kill('SIGTERM');
    assertFailure(await run.ended, { code: 143, message: /^ended by SIGTERM$/, hint: null });
    await assertNoDatabase(teller.cluster, target);
  });

  it('by a crash of the server leaves nothing restored, and says what it could not drop', async () => {
    const target = newTarget();
    const run = await startMidRestore(`${paths['pg_restore of an archive']} --create-db`, target);
    await teller.cluster.stop('immediate');
    const ended = await run.ended;
    await teller.cluster.start();
    assertFailure(ended, { code: 10, message: /^pg_restore failed/, hint: /log of the server/ });
    assert.match(ended.stderr, /warn: cannot drop postgresql:.*: it holds nothing that can be used/);
    await assertEmptyDatabase(teller.cluster, target);
  });

  it('leaves no file of a restore to a file', async () => {
    const before = entriesBelow(story.folder);
    const run = story.start(`restore --label archive ${aesKey} --output out.dump`);
    const isWriting = () => entriesBelow(story.folder).length > before.length;
    await waitUntil(isWriting, 'the file is being written');
    run.kill('SIGTERM');
    assertFailure(await run.ended, { code: 143, message: /^ended by SIGTERM$/, hint: null });
    assert.deepEqual(entriesBelow(story.folder), before);
  });

  it('while nobody reads its standard output ends all the same', async () => {
    const pipe = join(story.folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    // Open for reading and writing: it takes what a pipe holds, and then no more.
    const stdout = openSync(pipe, constants.O_RDWR);
    const run = story.start(`restore --label archive ${aesKey} --output -`, { stdout });
    const buffer = Buffer.alloc(5);
    assert.equal(readSync(stdout, buffer), 5);
    assert.equal(buffer.toString(), 'PGDMP');
    run.kill('SIGTERM');
    assertFailure(await run.ended, { code: 143, message: /^ended by SIGTERM$/, hint: null });
    closeSync(stdout);
  });
});
