import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { assertFailure } from '../support/cli-assertions.ts';
import { assertSameDatabase } from '../support/database-difference.ts';
import { fingerprintDatabase } from '../support/database-fingerprint.ts';
import { relocatePostgres, type RelocatedPostgres } from '../support/relocated-postgres.ts';
import { aesKey, openStoryTeller, type StoryTeller } from '../support/story.ts';

let postgres: RelocatedPostgres;
let teller: StoryTeller;
before(async () => {
  postgres = await relocatePostgres(join(import.meta.dirname, '..', 'support', 'guarded-extension'));
  teller = await openStoryTeller({ binFolder: postgres.binFolder });
  await teller.cluster.createDatabase('metrics');
  await teller.cluster.runSql(
    'metrics',
    `CREATE EXTENSION timescaledb;
     CREATE TABLE conditions AS SELECT n AS id, repeat(md5(n::text), 20) AS reading FROM generate_series(1, 2000) AS n;
     SELECT timescaledb_pre_restore();
     INSERT INTO _timescaledb_catalog.hypertable VALUES (1, 'conditions');
     SELECT timescaledb_post_restore();`,
  );
});
after(async () => {
  await teller[Symbol.asyncDispose]();
  postgres[Symbol.dispose]();
});

describe('a database with TimescaleDB', () => {
  for (const jobs of [1, 4]) {
    it(`comes back into one that was prepared for a restore: created with --jobs ${jobs}`, async () => {
      const { cluster } = teller;
      const story = teller.story();
      await story.create('metrics', `${aesKey} --jobs ${jobs}`);
      await cluster.createDatabase(story.target);
      await cluster.runSql(story.target, 'CREATE EXTENSION timescaledb; SELECT timescaledb_pre_restore();');
      await story.succeed(`restore latest --target ${story.target} ${aesKey} --jobs 1`);
      await cluster.runSql(story.target, 'SELECT timescaledb_post_restore();');
      const original = await fingerprintDatabase(cluster, 'metrics');
      assertSameDatabase(await fingerprintDatabase(cluster, story.target), original);
      assert.ok([...original.rows.keys()].some((table) => table.includes('hypertable')));
    });

    it(`does not come back into one that was not, and leaves nothing: created with --jobs ${jobs}`, async () => {
      const { cluster } = teller;
      const story = teller.story();
      await story.create('metrics', `${aesKey} --jobs ${jobs}`);
      assertFailure(await story.run(`restore latest --target ${story.target} --create-db ${aesKey} --jobs 1`), {
        code: 10,
        message: /rows of the catalog outside a restore/,
        hint: null,
      });
      const found = await cluster.query('postgres', 'SELECT FROM pg_database WHERE datname = $1', [story.target]);
      assert.equal(found.length, 0);
    });
  }
});
