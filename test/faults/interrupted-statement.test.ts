import { after, before, describe, it } from 'node:test';
import { backUpInEveryForm } from '../support/backup-forms.ts';
import { assertFailure, assertNoSession } from '../support/cli-assertions.ts';
import { assertSameDatabase } from '../support/database-difference.ts';
import { fingerprintDatabase } from '../support/database-fingerprint.ts';
import type { RunningCli } from '../support/run-cli.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';
import { waitUntil } from '../support/wait-until.ts';

let teller: StoryTeller;
let story: Story;
before(async () => {
  teller = await openStoryTeller();
  story = await backUpInEveryForm(teller, definitions);
});
after(async () => await teller[Symbol.asyncDispose]());

/** An index that is built at once where it is made, and takes longer than any test where it is restored. */
const definitions = `
  CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
  BEGIN
    IF current_database() <> 'source' THEN PERFORM pg_sleep(600); END IF;
    RETURN $1;
  END $$;
  CREATE TABLE small AS SELECT n FROM generate_series(1, 10) AS n;
  CREATE INDEX slow_index ON small (slow(n));`;

const sigterm = ['SIGTERM', 143, /^ended by SIGTERM$/] as const;
const sigint = ['SIGINT', 130, /^interrupted by SIGINT$/] as const;

/** The ways in which one session restores. */
const ways = [
  ['--label archive', sigterm],
  ['--label archive --schema public', sigterm],
  ['--label archive --clean', sigterm],
  ['--label script', sigterm],
  ['--label script', sigint],
  ['--label script --clean', sigterm],
  ['--label streams --jobs 1', sigterm],
  ['--label streams --clean', sigint],
] as const;

/** Starts a restore, and comes back when the server builds the index: it does not read what the client sends then. */
async function startUntilIndex(way: string, target: string): Promise<RunningCli> {
  const run = story.start(`restore ${way} ${aesKey} --target ${target}`);
  const sql = `SELECT FROM pg_stat_activity WHERE datname = $1 AND wait_event = 'PgSleep' AND query ~ 'CREATE INDEX'`;
  const isBuilding = async () => (await teller.cluster.query('postgres', sql, [target])).length > 0;
  await waitUntil(isBuilding, 'the server builds the index', 30_000);
  return run;
}

describe('a restore with one session that is interrupted in a long statement leaves no session, and the target as it was', () => {
  for (const [way, [signal, code, message]] of ways) {
    it(`by ${signal}: ${way}`, async () => {
      const { cluster } = teller;
      await cluster.dropDatabase('target');
      await cluster.createDatabase('target');
      if (way.endsWith('--clean')) await cluster.runSql('target', `CREATE TABLE theirs AS SELECT 'kept' AS text`);
      const original = await fingerprintDatabase(cluster, 'target');
      const run = await startUntilIndex(way, 'target');
      run.kill(signal);
      assertFailure(await run.ended, { code, message, hint: null });
      await assertNoSession(cluster, 'target');
      assertSameDatabase(await fingerprintDatabase(cluster, 'target'), original);
    });
  }
});
