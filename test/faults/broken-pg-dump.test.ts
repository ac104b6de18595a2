import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { assertFailure, assertNoSession, assertNothingBelow } from '../support/cli-assertions.ts';
import { dumpByHand } from '../support/dump-file.ts';
import { fakePgDump, makeFakeTools } from '../support/fake-tools/fake-tool.ts';
import { createSmallDatabase } from '../support/sample-database.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';
import { waitUntil } from '../support/wait-until.ts';

let teller: StoryTeller;
let realPgDump: string;
let version: string;
before(async () => {
  teller = await openStoryTeller();
  await createSmallDatabase(teller.cluster, 'small');
  realPgDump = join(teller.cluster.binFolder, 'pg_dump');
  const sql = `SELECT split_part(current_setting('server_version'), ' ', 1) AS version`;
  const [row] = await teller.cluster.query<{ version: string }>('postgres', sql);
  version = row?.version ?? '';
});
after(async () => await teller[Symbol.asyncDispose]());

async function assertNoBackup(story: Story): Promise<void> {
  assertNothingBelow(story.storeFolder);
  await assertNoSession(teller.cluster, 'small');
  // A store that nothing was ever written to is not there.
  if (existsSync(story.storeFolder)) assert.equal(await story.succeed('list'), 'no backups\n');
}

interface Broken {
  readonly body: () => string;
  readonly message: RegExp;
  readonly format?: 'custom' | 'plain';
}

const brokenPgDumps: Readonly<Record<string, Broken>> = {
  'dies half-way': {
    body: () => fakePgDump.diesHalfWay,
    message: /^pg_dump failed \(exit code 1\): query failed: lost$/,
  },
  'is killed half-way': { body: () => fakePgDump.killedHalfWay, message: /^pg_dump failed \(killed by SIGKILL\)$/ },
  'fails after a complete dump': {
    body: () => `${realPgDump} "$@"; exit 1`,
    message: /^pg_dump failed \(exit code 1\)$/,
  },
  'fails after a complete script': {
    body: () => `${realPgDump} "$@"; exit 1`,
    message: /^pg_dump failed \(exit code 1\)$/,
    format: 'plain',
  },
  'writes nothing and is content': { body: () => fakePgDump.silent, message: /^pg_dump wrote nothing/ },
  'writes to stderr only and is content': {
    body: () => `echo 'pg_dump: error: something went wrong' >&2; exit 0`,
    message: /^pg_dump wrote nothing.*something went wrong/,
  },
  'writes something else and is content': {
    body: () => fakePgDump.writesOtherThings,
    message: /^pg_dump wrote something that is not an archive/,
  },
  'cuts a script off and is content': {
    body: () => `${realPgDump} "$@" | head -c 3000; exit 0`,
    message: /^pg_dump wrote a script without its last line/,
    format: 'plain',
  },
  'says nothing for too long': {
    body: () => fakePgDump.hangs,
    message: /^pg_dump has given no byte for 1 seconds$/,
  },
  'says nothing from the start': {
    body: () => 'exec sleep 600',
    message: /^pg_dump has given no byte for 1 seconds$/,
  },
};

describe('a pg_dump that', () => {
  for (const [what, { body, message, format = 'custom' }] of Object.entries(brokenPgDumps)) {
    it(`${what} makes no backup`, async () => {
      using tools = makeFakeTools();
      tools.add('pg_dump', body(), version);
      const story = teller.story();
      const options = `--format ${format} --pg-bin ${tools.folder} --stall-timeout 1s`;
      const run = await story.run(`create -d small ${aesKey} ${options}`);
      assertFailure(run, { code: 10, message, hint: null });
      await assertNoBackup(story);
    });
  }

  it('warns makes a backup, and the warning is shown', async () => {
    using tools = makeFakeTools();
    tools.add('pg_dump', `echo 'pg_dump: warning: circular foreign keys' >&2; exec ${realPgDump} "$@"`, version);
    const story = teller.story();
    const run = await story.run(`create -d small ${aesKey} --pg-bin ${tools.folder}`);
    assert.equal(run.code, 0, run.stderr);
    assert.match(run.stderr, /^librelog-backup: warn: pg_dump: warning: circular foreign keys/);
    assert.match(await story.succeed(`verify --level decrypt ${aesKey}`), /^verified/);
  });

  it('ends before the store is ready makes a backup: nothing of its output is lost', async () => {
    using tools = makeFakeTools();
    const dump = join(tools.folder, 'dump');
    writeFileSync(dump, await dumpByHand(teller.cluster, 'small', 'plain'));
    tools.add('pg_dump', `exec cat ${dump}`, version);
    const story = teller.story();
    await story.create('small', `${aesKey} --format plain --pg-bin ${tools.folder}`);
    await story.succeed(`restore ${aesKey} --output restored.sql`);
    assert.deepEqual(readFileSync(join(story.folder, 'restored.sql')), readFileSync(dump));
  });

  it('ignores SIGTERM is ended all the same when we are interrupted', async () => {
    using tools = makeFakeTools();
    const started = join(tools.folder, 'started');
    tools.add('pg_dump', `touch ${started}; ${fakePgDump.ignoresSigterm}`, version);
    const story = teller.story();
    const run = story.start(`create -d small ${aesKey} --pg-bin ${tools.folder}`);
    await waitUntil(() => existsSync(started), 'pg_dump has started');
    run.kill('SIGINT');
    assertFailure(await run.ended, { code: 130, message: /^interrupted by SIGINT$/, hint: null });
    await assertNoBackup(story);
  });
});
