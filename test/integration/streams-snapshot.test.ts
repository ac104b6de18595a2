import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { assertCounted, openBackupObjects, restoreByHand } from '../support/backup-objects.ts';
import { assertSameDatabase } from '../support/database-difference.ts';
import { fingerprintDatabase, type DatabaseFingerprint } from '../support/database-fingerprint.ts';
import type { Cluster } from '../support/postgres-cluster.ts';
import { aesKey, openStoryTeller, type StoryTeller } from '../support/story.ts';

/** One table is split, several share an object, one is left to pg_dump. */
const tables = `
  CREATE TABLE large AS SELECT n AS id, 0 AS round, encode(sha512(n::text::bytea), 'hex') AS body
    FROM generate_series(1, 260000) AS n;
  CREATE TABLE middle AS SELECT n AS id, 0 AS round, repeat(md5(n::text), 4) AS body FROM generate_series(1, 12000) AS n;
  CREATE TABLE other AS SELECT n AS id, repeat(md5(n::text), 4) AS body FROM generate_series(1, 12000) AS n;
  CREATE TABLE small (round int); INSERT INTO small VALUES (0);
  CREATE INDEX ON large (id); CREATE INDEX ON middle (id); CREATE SEQUENCE rounds;
`;

let teller: StoryTeller;
let original: DatabaseFingerprint;
before(async () => {
  teller = await openStoryTeller();
  await teller.cluster.createDatabase('quiet');
  await teller.cluster.runSql('quiet', tables);
  await teller.cluster.createDatabase('busy', { from: 'quiet' });
  original = await fingerprintDatabase(teller.cluster, 'quiet');
});
after(async () => await teller[Symbol.asyncDispose]());

const rowsPerRound = 6;

/** Changes the tables in one transaction after the other, until it is stopped; gives their number. */
async function startWriting(cluster: Cluster): Promise<{ readonly stop: () => Promise<number> }> {
  const client = await cluster.connect('busy');
  let rounds = 0;
  const stopping = new AbortController();
  const write = async () => {
    for (; !stopping.signal.aborted; rounds += 1) {
      const first = 1 + ((rounds * 37) % 11_000);
      const where = `WHERE id BETWEEN ${first} AND ${first + rowsPerRound - 1}`;
      await client.query(`BEGIN; UPDATE large SET round = round + 1 ${where}; UPDATE middle SET round = round + 1 ${where};
        UPDATE small SET round = round + 1; COMMIT`);
    }
    await client.end();
  };
  const writing = write();
  return {
    stop: async () => {
      stopping.abort();
      await writing;
      return rounds;
    },
  };
}

interface Rounds {
  readonly large: number;
  readonly middle: number;
  readonly small: number;
}

async function readRounds(database: string): Promise<Rounds> {
  const sum = (table: string) => `(SELECT sum(round)::int FROM ${table}) AS ${table}`;
  const [rounds] = await teller.cluster.query<Rounds & Record<string, number>>(
    database,
    `SELECT ${['large', 'middle', 'small'].map(sum).join(', ')}`,
  );
  assert.ok(rounds !== undefined);
  return rounds;
}

describe('a backup of several streams', () => {
  for (const jobs of [2, 4, 8]) {
    it(`has every row once, and counts them: jobs ${jobs}`, async () => {
      const { cluster } = teller;
      const story = teller.story();
      const objects = await openBackupObjects(story, await story.create('quiet', `--jobs ${jobs} ${aesKey}`));
      assertCounted(objects);
      const names = objects.contents.tables.map(({ name }) => name);
      assert.deepEqual(new Set(names), new Set(['large', 'middle', 'other']));
      await cluster.createDatabase(story.target);
      await restoreByHand(cluster, objects, story.target);
      assertSameDatabase(await fingerprintDatabase(cluster, story.target), original);
      await cluster.dropDatabase(story.target);
    });
  }

  it('is of one moment, while others write to tables that are in different objects', async () => {
    const { cluster } = teller;
    const story = teller.story();
    const writing = await startWriting(cluster);
    const started = await readRounds('busy');
    const backup = await story.create('busy', `--jobs 3 --compress none --upload-rate 20 ${aesKey}`);
    const written = await writing.stop();
    const objects = await openBackupObjects(story, backup);
    const objectsOf = (table: string) => objects.contents.tables.find(({ name }) => name === table)?.parts ?? [];
    const [large, middle] = [objectsOf('large'), objectsOf('middle')];
    assert.ok(large.length > 1 && middle.length === 1, 'the tables are not in different objects');
    assert.ok(large.every(({ object }) => object !== middle[0]?.object));
    assert.deepEqual(objectsOf('small'), []);
    await cluster.createDatabase(story.target);
    await restoreByHand(cluster, objects, story.target);
    const restored = await readRounds(story.target);
    const changed = restored.small * rowsPerRound;
    assert.deepEqual(restored, { large: changed, middle: changed, small: restored.small });
    assert.ok(restored.small >= started.small && restored.small < written, 'nobody wrote beside the backup');
  });
});
