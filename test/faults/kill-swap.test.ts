import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { databaseExists } from '../support/cli-assertions.ts';
import type { RunningCli } from '../support/run-cli.ts';
import { createSmallDatabase } from '../support/sample-database.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';
import { waitUntil } from '../support/wait-until.ts';

let teller: StoryTeller;
let story: Story;
before(async () => {
  teller = await openStoryTeller();
  await createSmallDatabase(teller.cluster, 'source');
  story = teller.story();
  await story.create('source', `${aesKey} --jobs 2`);
});
after(async () => await teller[Symbol.asyncDispose]());

interface Held {
  readonly run: RunningCli;
  readonly release: () => Promise<void>;
}

/** A restore that takes the place of a database in which somebody is whose session does not end before `release`. */
async function startAndHold(name: string): Promise<Held> {
  await teller.cluster.createDatabase(name);
  await teller.cluster.runSql(name, `CREATE TABLE theirs AS SELECT 'kept' AS text`);
  const client = await teller.cluster.connect(name);
  client.on('error', () => {});
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const pid = rows[0]?.pid ?? assert.fail('a session has no process');
  process.kill(pid, 'SIGSTOP');
  const run = story.start(`restore ${aesKey} --target ${name} --swap --jobs 2`);
  await waitUntil(isRenaming, 'the database is renamed');
  return {
    run,
    release: async () => {
      process.kill(pid, 'SIGCONT');
      await client.end().catch(() => {});
    },
  };
}

async function isRenaming(): Promise<boolean> {
  const sql = `SELECT FROM pg_stat_activity WHERE query LIKE 'ALTER DATABASE%RENAME%' AND state = 'active'
    AND pid <> pg_backend_pid()`;
  return (await teller.cluster.query('postgres', sql)).length > 0;
}

describe('restore --swap while somebody does not leave the database', () => {
  it('leaves it as it was, and open, when it is killed', async () => {
    const { run, release } = await startAndHold('killed');
    run.kill('SIGKILL');
    await run.ended;
    await release();
    await waitUntil(async () => !(await isRenaming()), 'the server has noticed');
    assert.equal(await teller.cluster.runSql('killed', 'SELECT text FROM theirs'), 'kept\n');
    const databases = await teller.cluster.query(
      'postgres',
      `SELECT regexp_replace(datname, '[0-9a-f]{6}$', '') AS name, datallowconn AS open FROM pg_database
       WHERE starts_with(datname, 'killed') ORDER BY 1`,
    );
    assert.deepEqual(databases, [
      { name: 'killed', open: true },
      { name: 'killed_restoring_', open: true },
    ]);
  });

  it('lets nobody else in, and goes on when they leave', async () => {
    const { run, release } = await startAndHold('held');
    const newcomer = teller.cluster.connect('held');
    newcomer.catch(() => {});
    await release();
    const { code, stdout, stderr } = await run.ended;
    assert.equal(code, 0, stderr);
    // The name was another database's when it was asked for.
    await assert.rejects(newcomer, /database "held" does not exist/);
    const former = /"(held_before_[0-9a-f]{6})"/.exec(stdout)?.[1];
    assert.ok(former !== undefined && (await databaseExists(teller.cluster, former)), stdout);
    assert.equal(await teller.cluster.runSql(former, 'SELECT text FROM theirs'), 'kept\n');
  });
});
