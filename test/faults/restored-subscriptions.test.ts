import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { assertFailure, assertNoSession } from '../support/cli-assertions.ts';
import { assertSameDatabase } from '../support/database-difference.ts';
import { fingerprintDatabase, type DatabaseFingerprint } from '../support/database-fingerprint.ts';
import { createSmallDatabase } from '../support/sample-database.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';
import { waitUntil } from '../support/wait-until.ts';

let teller: StoryTeller;
let story: Story;
let small: DatabaseFingerprint;
let empty: DatabaseFingerprint;
before(async () => {
  teller = await openStoryTeller({ settings: { wal_level: 'logical' } });
  const { cluster } = teller;
  await createSmallDatabase(cluster, 'small');
  small = await fingerprintDatabase(cluster, 'small');
  await cluster.createDatabase('for_comparison');
  empty = await fingerprintDatabase(cluster, 'for_comparison');
  // A view is filled when all else is there: it takes a while, and fails.
  await cluster.createDatabase('breaking');
  await cluster.runSql(
    'breaking',
    `CREATE TABLE divisors AS SELECT 1 AS n;
     CREATE MATERIALIZED VIEW quotients AS SELECT 1 / n FROM divisors, pg_sleep(2);
     UPDATE divisors SET n = 0;
     CREATE SUBSCRIPTION "Odd ""one""" CONNECTION 'host=127.0.0.1 port=1' PUBLICATION one
       WITH (connect = false, slot_name = 'some_slot');
     CREATE SUBSCRIPTION another CONNECTION 'host=127.0.0.1 port=1' PUBLICATION one
       WITH (connect = false, slot_name = NONE, enabled = false, create_slot = false)`,
  );
  story = teller.story();
  await story.create('small', `${aesKey} --label small`);
  await story.create('breaking', `${aesKey} --label streams --jobs 2`);
  await story.create('breaking', `${aesKey} --label single --jobs 1`);
});
after(async () => await teller[Symbol.asyncDispose]());

const subscriptionsIn = `SELECT FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = $1)`;

async function countSubscriptions(database: string): Promise<number> {
  return (await teller.cluster.query('postgres', subscriptionsIn, [database])).length;
}

describe('a restore with several sessions that fails when it has restored subscriptions', () => {
  for (const label of ['streams', 'single']) {
    it(`leaves the target empty: ${label}`, async () => {
      const target = `emptied_${label}`;
      await teller.cluster.createDatabase(target);
      const run = await story.run(`restore --label ${label} ${aesKey} --target ${target} --jobs 2`);
      assertFailure(run, { code: 10, message: /division by zero/, hint: null });
      assert.doesNotMatch(run.stderr, /warn: cannot/);
      assertSameDatabase(await fingerprintDatabase(teller.cluster, target), empty);
    });

    for (const mode of ['--create-db', '--swap']) {
      it(`leaves nothing of a database that it has made: ${label}, ${mode}`, async () => {
        const target = `made_${label}_${mode.replaceAll('-', '')}`;
        if (mode === '--swap') await teller.cluster.createDatabase(target);
        const run = await story.run(`restore --label ${label} ${aesKey} --target ${target} ${mode} --jobs 2`);
        assertFailure(run, { code: 10, message: /division by zero/, hint: null });
        assert.doesNotMatch(run.stderr, /warn: cannot/);
        const sql = `SELECT datname FROM pg_database WHERE starts_with(datname, $1)`;
        const left = await teller.cluster.query('postgres', sql, [target]);
        assert.deepEqual(left, mode === '--swap' ? [{ datname: target }] : []);
      });
    }
  }

  it('leaves what --clean replaces, when it is killed', async () => {
    const target = 'killed';
    await teller.cluster.createDatabase(target);
    const run = story.start(`restore --label streams ${aesKey} --target ${target} --jobs 2`);
    const filling = `SELECT FROM pg_stat_activity WHERE datname = $1 AND state = 'active' AND query ~ '^REFRESH'`;
    const isFilling = async () => (await teller.cluster.query('postgres', filling, [target])).length > 0;
    await waitUntil(isFilling, 'the view is filled', 30_000);
    run.kill('SIGKILL');
    await run.ended;
    await assertNoSession(teller.cluster, target);
    assert.equal(await countSubscriptions(target), 2);
    const again = await story.run(`restore --label small ${aesKey} --target ${target}`);
    assertFailure(again, { code: 50, message: /is not complete/, hint: /--clean/ });
    await story.succeed(`restore --label small ${aesKey} --target ${target} --clean`);
    assertSameDatabase(await fingerprintDatabase(teller.cluster, target), small);
  });
});

/** Subscribes to a database of the same server, and waits until the rows are there. */
async function subscribe(target: string): Promise<void> {
  const { cluster } = teller;
  await cluster.createDatabase(`${target}_publisher`);
  await cluster.runSql(
    `${target}_publisher`,
    `CREATE TABLE published AS SELECT 1 AS n; CREATE PUBLICATION one FOR TABLE published;
     SELECT pg_create_logical_replication_slot('${target}_slot', 'pgoutput')`,
  );
  await cluster.createDatabase(target);
  const connection = cluster.url(`${target}_publisher`);
  await cluster.runSql(
    target,
    `CREATE TABLE published (n int);
     CREATE SUBSCRIPTION ${target}_one CONNECTION '${connection}' PUBLICATION one
       WITH (create_slot = false, slot_name = '${target}_slot')`,
  );
  const ready = `SELECT FROM pg_subscription_rel WHERE srsubstate = 'r'`;
  await waitUntil(async () => (await cluster.query(target, ready)).length > 0, 'the rows are there', 60_000);
}

describe('restore --clean of a database whose subscription is in use', () => {
  for (const [state, sql] of [
    ['enabled', ''],
    ['disabled', 'ALTER SUBSCRIPTION disabled_one DISABLE'],
    ['tableless', 'ALTER PUBLICATION one DROP TABLE published'],
  ] as const) {
    it(`refuses it, until the subscription is dropped: ${state}`, async () => {
      const { cluster } = teller;
      await subscribe(state);
      if (state === 'tableless') {
        await cluster.query('tableless_publisher', sql);
        await cluster.query(state, 'ALTER SUBSCRIPTION tableless_one REFRESH PUBLICATION');
        await cluster.query(state, 'ALTER SUBSCRIPTION tableless_one DISABLE');
      } else if (sql !== '') await cluster.query(state, sql);
      const clean = `restore --label small ${aesKey} --target ${state} --clean`;
      assertFailure(await story.run(clean), {
        code: 10,
        message: new RegExp(`the database has subscriptions that are in use: ${state}_one`),
        hint: /DROP SUBSCRIPTION/,
      });
      assert.equal(await cluster.runSql(state, 'SELECT n FROM published'), '1\n');
      await cluster.query(state, `DROP SUBSCRIPTION ${state}_one`);
      await story.succeed(clean);
      assertSameDatabase(await fingerprintDatabase(cluster, state), small);
    });
  }

  it('takes one that has no slot any more', async () => {
    const { cluster } = teller;
    await subscribe('detached');
    await cluster.query('detached', 'ALTER SUBSCRIPTION detached_one DISABLE');
    await cluster.query('detached', 'ALTER SUBSCRIPTION detached_one SET (slot_name = NONE)');
    await story.succeed(`restore --label small ${aesKey} --target detached --clean`);
    assertSameDatabase(await fingerprintDatabase(cluster, 'detached'), small);
  });
});
