import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { backUpInEveryForm } from '../support/backup-forms.ts';
import { startPooler } from '../support/pooler-double.ts';
import { aesKey, openStoryTeller, type Story, type StoryOptions, type StoryTeller } from '../support/story.ts';

let teller: StoryTeller;
let story: Story;
before(async () => {
  teller = await openStoryTeller({ settings: { maintenance_work_mem: '16MB' } });
  story = await backUpInEveryForm(teller, definitions);
});
after(async () => await teller[Symbol.asyncDispose]());

/** An index that leaves a note of what the session has that builds it. */
const definitions = `
  CREATE TABLE seen (database text, memory text, workers text);
  CREATE FUNCTION note() RETURNS void LANGUAGE sql AS $$
    INSERT INTO public.seen SELECT current_database(), current_setting('maintenance_work_mem'),
      current_setting('max_parallel_maintenance_workers') $$;
  CREATE FUNCTION noted(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
    BEGIN PERFORM public.note(); RETURN $1; END $$;
  CREATE TABLE small AS SELECT 1 AS n;
  CREATE INDEX ON small (noted(n));`;

/** What the session had that built the index, in a restore into a new database. */
async function settingsSeen(command: string, options: StoryOptions = {}): Promise<string> {
  await teller.cluster.dropDatabase('target');
  await teller.cluster.createDatabase('target');
  await story.succeed(`restore ${command} ${aesKey} --target target`, options);
  const sql = `SELECT DISTINCT memory, workers FROM seen WHERE database = 'target'`;
  return (await teller.cluster.runSql('target', sql)).trim();
}

/** With settings of the role, which are gone afterwards. */
async function withRole(settings: readonly string[], work: () => Promise<void>): Promise<void> {
  const changes = settings.map((setting) => `ALTER ROLE postgres SET ${setting}`);
  await teller.cluster.query('postgres', changes.join('; '));
  try {
    await work();
  } finally {
    await teller.cluster.query('postgres', 'ALTER ROLE postgres RESET ALL');
  }
}

describe('the session that builds an index', () => {
  for (const command of [
    '--label archive',
    '--label archive --clean',
    '--label script',
    '--label streams --jobs 1',
    '--label streams --clean',
  ]) {
    it(`has memory and workers where it is the only one: ${command}`, async () => {
      assert.equal(await settingsSeen(command), '256MB|3');
    });
  }

  for (const label of ['archive', 'streams']) {
    it(`has memory where it is one of several: ${label}`, async () => {
      assert.equal(await settingsSeen(`--label ${label} --jobs 2`), '256MB|2');
    });
  }

  for (const command of ['--label archive', '--label script']) {
    it(`has what its role gives it where that is more: ${command}`, async () => {
      const settings = [`maintenance_work_mem = '300MB'`, 'max_parallel_maintenance_workers = 5'];
      await withRole(settings, async () => assert.equal(await settingsSeen(command), '300MB|5'));
    });
  }

  it('has no workers where its role wants none', async () => {
    await withRole(['max_parallel_maintenance_workers = 0'], async () => {
      assert.equal(await settingsSeen('--label archive'), '256MB|0');
    });
  });

  for (const command of ['--label archive', '--label script', '--label streams --jobs 2']) {
    it(`has what the server gives it behind a pooler that lets nobody set anything: ${command}`, async () => {
      await using pooler = await startPooler(teller.cluster.port);
      assert.equal(await settingsSeen(command, { env: { PGPORT: String(pooler.port) } }), '16MB|2');
      assert.equal(pooler.refused, 1);
    });
  }
});
