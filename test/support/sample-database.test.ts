import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { assertSameDatabase, describeDifferences } from './database-difference.ts';
import { fingerprintDatabase, type DatabaseFingerprint } from './database-fingerprint.ts';
import { startCluster, type Cluster } from './postgres-cluster.ts';
import { createSampleDatabase, createSmallDatabase } from './sample-database.ts';

const run = promisify(execFile);

let cluster: Cluster;
before(async () => (cluster = await startCluster()));
after(async () => await cluster[Symbol.asyncDispose]());

describe('sample database', () => {
  it('comes back identical from a plain pg_dump and pg_restore', async () => {
    await createSampleDatabase(cluster, 'sample');
    const archive = join(cluster.socketFolder, 'sample.dump');
    await run(join(cluster.binFolder, 'pg_dump'), ['-Fc', '-Z0', '-f', archive, '-d', cluster.url('sample')]);
    await cluster.createDatabase('restored');
    const restoreArgs = ['--exit-on-error', '--single-transaction', '-d', cluster.url('restored'), archive];
    await run(join(cluster.binFolder, 'pg_restore'), restoreArgs);
    assertSameDatabase(await fingerprintDatabase(cluster, 'restored'), await fingerprintDatabase(cluster, 'sample'));
  });

  it('comes back identical from a plain-text dump', async () => {
    const { stdout } = await run(join(cluster.binFolder, 'pg_dump'), ['-d', cluster.url('sample')], {
      maxBuffer: 2 ** 30,
    });
    await cluster.createDatabase('replayed');
    await cluster.runSql('replayed', stdout);
    assertSameDatabase(await fingerprintDatabase(cluster, 'replayed'), await fingerprintDatabase(cluster, 'sample'));
  });
});

describe('fingerprint', () => {
  let original: DatabaseFingerprint;
  before(async () => {
    await createSmallDatabase(cluster, 'small');
    original = await fingerprintDatabase(cluster, 'small');
  });

  const changes = {
    'a changed value': [`UPDATE people SET note = NULL WHERE id = 1`, /^table "public"."people"/],
    'a missing row': [`DELETE FROM visits WHERE person_id = 7`, /^table "public"."visits": 99 rows/],
    'a row that is there twice instead of another': [
      `ALTER TABLE visits DROP CONSTRAINT visits_pkey; UPDATE visits SET (person_id, at) = (SELECT person_id, at FROM visits WHERE person_id = 1) WHERE person_id = 2`,
      /^table "public"."visits": 100 rows/,
    ],
    'an advanced sequence': [`SELECT nextval('people_id_seq')`, /^sequence "public"."people_id_seq": 101, used/],
    'a changed large object': [`SELECT lo_put(200001, 0, 'A')`, /^large object 200001: 14 bytes/],
    'a privilege on a large object': [`GRANT SELECT ON LARGE OBJECT 200001 TO PUBLIC`, /^large object 200001: .*=r\//],
    'a missing view': [`DROP VIEW visitors`, /^schema: missing\n[^]*CREATE VIEW public\.visitors/],
    'an added column default': [
      `ALTER TABLE people ALTER note SET DEFAULT ''`,
      /^schema: missing\n[^]*CREATE TABLE public\.people/,
    ],
    'what pg_dump does not mention': [
      `CREATE FUNCTION hidden() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER EXTENSION plpgsql ADD FUNCTION hidden()`,
      /^catalog: function public\.hidden\(\): there/,
    ],
    'an index that is not valid': [
      `CREATE INDEX broken ON visits (at); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken'::regclass`,
      /^catalog: index public\.broken: there, not valid/,
    ],
    'a comment': [`COMMENT ON TABLE people IS 'x'`, /^schema: not expected\n[^]*COMMENT ON TABLE public\.people/],
  } as const;

  for (const [change, [sql, message]] of Object.entries(changes)) {
    it(`shows ${change}`, async () => {
      await cluster.createDatabase('changed', { from: 'small' });
      await cluster.query('changed', sql);
      const changed = await fingerprintDatabase(cluster, 'changed');
      await cluster.dropDatabase('changed');
      const [difference] = describeDifferences(changed, original);
      assert.match(difference ?? 'no difference', message);
      assert.throws(() => assertSameDatabase(changed, original), { name: 'AssertionError' });
    });
  }

  it('is the same for the same rows in another order', async () => {
    await cluster.createDatabase('reordered', { from: 'small' });
    await cluster.query('reordered', `UPDATE people SET note = note WHERE id % 2 = 0`);
    assertSameDatabase(await fingerprintDatabase(cluster, 'reordered'), original);
  });
});
