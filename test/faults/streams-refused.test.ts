import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Catalog } from '../../src/catalog/catalog.ts';
import { openStore } from '../../src/storage/open-store.ts';
import { openBackupObjects } from '../support/backup-objects.ts';
import { assertFailure, assertNoSession, assertNothingBelow, type ExpectedFailure } from '../support/cli-assertions.ts';
import { createLargeDatabase } from '../support/large-database.ts';
import type { Login } from '../support/postgres-cluster.ts';
import { isRoot, mountSmallDisk } from '../support/small-disk.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';

let teller: StoryTeller;
before(async () => {
  teller = await openStoryTeller();
  await createLargeDatabase(teller.cluster, 'large', 40);
  const sql = `CREATE ROLE reader LOGIN PASSWORD 'reads all'; GRANT pg_read_all_data TO reader`;
  await teller.cluster.query('postgres', sql);
});
after(async () => await teller[Symbol.asyncDispose]());

const reader: Login = { user: 'reader', password: 'reads all' };
const asReader = { env: { PGUSER: reader.user, PGPASSWORD: reader.password } };
const mebibyte = 1024 * 1024;
const needsRoot = !isRoot && 'mounting needs root';

const create = (args = ''): string => `create -d large --jobs 2 --compress none ${aesKey} ${args}`;

async function assertNothingLeft(story: Story): Promise<void> {
  assertNothingBelow(story.storeFolder);
  await assertNoSession(teller.cluster, 'large');
}

/** Changes the database or the role for one test. */
async function during(change: string, undo: string, test: () => Promise<void>): Promise<void> {
  await teller.cluster.query('large', change);
  try {
    await test();
  } finally {
    await teller.cluster.query('large', undo);
  }
}

interface Refusal extends ExpectedFailure {
  readonly change: string;
  readonly undo: string;
}

const refusals: Readonly<Record<string, Refusal>> = {
  'a role that may have no second connection': {
    change: 'ALTER ROLE reader CONNECTION LIMIT 1',
    undo: 'ALTER ROLE reader CONNECTION LIMIT -1',
    code: 10,
    message: /^cannot connect to .*: the server has too many connections \(too many connections for role "reader"\)$/,
    hint: /limit of the role/,
  },
  'a role that may have three connections': {
    change: 'ALTER ROLE reader CONNECTION LIMIT 3',
    undo: 'ALTER ROLE reader CONNECTION LIMIT -1',
    code: 10,
    message: /^pg_dump failed .*too many connections for role "reader"/,
    hint: /fewer streams \(--jobs\)/,
  },
  'a role that may not export a snapshot': {
    change: 'REVOKE EXECUTE ON FUNCTION pg_export_snapshot() FROM PUBLIC',
    undo: 'GRANT EXECUTE ON FUNCTION pg_export_snapshot() TO PUBLIC',
    code: 10,
    message: /^cannot export a snapshot: query failed on .*: permission denied for function pg_export_snapshot$/,
    hint: /^Back up with --jobs 1\.$/,
  },
  'a role that may not read one table': {
    change: 'REVOKE pg_read_all_data FROM reader; GRANT SELECT ON first, yet_another TO reader',
    undo: 'REVOKE ALL ON first, yet_another FROM reader; GRANT pg_read_all_data TO reader',
    code: 10,
    message: /^pg_dump failed .*permission denied for table large/,
    hint: /pg_read_all_data/,
  },
  'row security on a large table': {
    change: 'ALTER TABLE large ENABLE ROW LEVEL SECURITY; CREATE POLICY even ON large USING (n % 2 = 0)',
    undo: 'DROP POLICY even ON large; ALTER TABLE large DISABLE ROW LEVEL SECURITY',
    code: 10,
    message: /^(?:pg_dump|psql) failed .*query would be affected by row-level security policy for table "large"/,
    hint: /BYPASSRLS/,
  },
  'row security on a small table': {
    change: 'ALTER TABLE first ENABLE ROW LEVEL SECURITY; CREATE POLICY none ON first USING (false)',
    undo: 'DROP POLICY none ON first; ALTER TABLE first DISABLE ROW LEVEL SECURITY',
    code: 10,
    message: /^pg_dump failed .*query would be affected by row-level security policy for table "first"/,
    hint: /BYPASSRLS/,
  },
};

describe('a backup of several streams that meets', () => {
  for (const [what, { change, undo, ...expected }] of Object.entries(refusals)) {
    it(`${what} fails, and leaves nothing`, async () => {
      await during(change, undo, async () => {
        const story = teller.story();
        assertFailure(await story.run(create(), asReader), expected);
        await assertNothingLeft(story);
      });
    });
  }

  it('a role that may not export a snapshot is told what works: one stream', async () => {
    const { change, undo } = refusals['a role that may not export a snapshot'] ?? assert.fail();
    await during(change, undo, async () => {
      const story = teller.story();
      const { objects } = await story.create('large', `--jobs 1 ${aesKey}`, asReader);
      assert.equal(objects.length, 1);
    });
  });

  it('limits of time and odd settings of its role does not mind them', async () => {
    const settings = {
      statement_timeout: '500ms',
      lock_timeout: '200ms',
      idle_in_transaction_session_timeout: '200ms',
      idle_session_timeout: '200ms',
      search_path: 'nowhere',
      bytea_output: 'escape',
      datestyle: 'German',
      row_security: 'on',
      enable_tidscan: 'off',
      random_page_cost: '100000',
      default_transaction_read_only: 'on',
      client_encoding: 'LATIN1',
      standard_conforming_strings: 'off',
    };
    const change = Object.entries(settings).map(([name, value]) => `ALTER ROLE reader SET ${name} = '${value}'`);
    await during(change.join('; '), 'ALTER ROLE reader RESET ALL', async () => {
      const story = teller.story();
      // Slower than the limits.
      const backup = await story.create('large', `--jobs 2 --compress none --upload-rate 10 ${aesKey}`, asReader);
      const { contents } = await openBackupObjects(story, backup);
      assert.equal(contents.tables.length, 1);
      const parts = contents.tables.flatMap((table) => table.parts);
      assert.ok(parts.length > 1, 'the table was not split');
      assert.equal(
        parts.reduce((sum, { rows }) => sum + (rows ?? 0), 0),
        40 * 7500,
      );
    });
  });

  it('a server that does not count rows says nothing of their number', async () => {
    const change = 'ALTER ROLE postgres SET track_counts = off';
    await during(change, 'ALTER ROLE postgres RESET track_counts', async () => {
      const story = teller.story();
      const backup = await story.create('large', `--jobs 2 ${aesKey}`);
      const { contents } = await openBackupObjects(story, backup);
      const counts = contents.tables.flatMap(({ parts }) => parts.map(({ rows }) => rows));
      assert.deepEqual(new Set(counts), new Set([null]));
    });
  });

  it('a store that becomes full is emptied again', { skip: needsRoot }, async () => {
    const story = teller.story();
    using _disk = mountSmallDisk(story.storeFolder, 20 * mebibyte);
    const message = /^cannot store "large\/.*" in "file:.*": the store is full$/;
    assertFailure(await story.run(create()), { code: 20, message, hint: /space/ });
    await assertNothingLeft(story);
  });

  it(
    'one store of two that becomes full goes on with the other, where that is allowed',
    { skip: needsRoot },
    async () => {
      const story = teller.story();
      const other = `${story.folder}/other`;
      using _disk = mountSmallDisk(other, 20 * mebibyte);
      const run = await story.run(create(`--store ${story.storeUrl} --store file://${other} --allow-partial --jobs 4`));
      assert.equal(run.code, 60, run.stderr);
      assert.match(run.stderr, /: the store is full$/m);
      assertNothingBelow(other);
      await using store = await openStore(story.storeUrl, {});
      const { contents } = await openBackupObjects(story, await new Catalog(store).find({ by: 'latest' }));
      assert.equal(contents.tables.length, 1);
    },
  );

  it('one store of two that becomes full ends everywhere, where that is not allowed', { skip: needsRoot }, async () => {
    const story = teller.story();
    const other = `${story.folder}/other`;
    using _disk = mountSmallDisk(other, 20 * mebibyte);
    const run = await story.run(create(`--store ${story.storeUrl} --store file://${other}`));
    assertFailure(run, { code: 20, message: /: the store is full$/, hint: /space/ });
    assertNothingBelow(other);
    await assertNothingLeft(story);
  });
});

describe('a server whose connections are all taken', () => {
  it('ends a backup of several streams, and nothing is left', async () => {
    const settings = { max_connections: '4', superuser_reserved_connections: '0', max_wal_senders: '0' };
    await using small = await openStoryTeller({ settings });
    await createLargeDatabase(small.cluster, 'large', 40);
    const story = small.story();
    const run = await story.run(create('--jobs 4 --upload-rate 4'));
    assertFailure(run, {
      code: 10,
      message: /^(?:pg_dump|psql) failed .*too many clients already/,
      hint: /fewer streams \(--jobs\), or raise max_connections/,
    });
    assertNothingBelow(story.storeFolder);
    await assertNoSession(small.cluster, 'large');
  });
});
