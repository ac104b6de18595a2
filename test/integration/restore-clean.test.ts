import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { cleanScript } from '../../src/postgres/clean-script.ts';
import { assertSameDatabase, describeDifferences } from '../support/database-difference.ts';
import { fingerprintDatabase } from '../support/database-fingerprint.ts';
import { startCluster, type Cluster } from '../support/postgres-cluster.ts';
import { createEveryKindDatabase, createSampleDatabase } from '../support/sample-database.ts';

describe('the script that empties a database', () => {
  let cluster: Cluster;

  before(async () => {
    cluster = await startCluster();
  });

  after(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  it('leaves the most awkward database like a new one', async () => {
    await cluster.createDatabase('fresh');
    await createSampleDatabase(cluster, 'cluttered');
    await cluster.runSql('cluttered', `BEGIN; ${cleanScript(15)} COMMIT;`);
    const fresh = await fingerprintDatabase(cluster, 'fresh');
    const left = describeDifferences(await fingerprintDatabase(cluster, 'cluttered'), fresh);
    // What the script says that it leaves: nothing in the way of a restore.
    const inTheWay = left.filter(
      (difference) => !/COLUMN pg_authid|default (?:privileges|acl) for .*functions/i.test(difference),
    );
    assert.deepEqual(inTheWay, []);
  });

  it('takes subscriptions with it that never were in use', async () => {
    await createEveryKindDatabase(cluster, 'subscribed', { withSubscriptions: true });
    const original = await fingerprintDatabase(cluster, 'subscribed');
    await cluster.runSql('subscribed', `BEGIN; ${cleanScript(15)} ROLLBACK;`);
    assertSameDatabase(await fingerprintDatabase(cluster, 'subscribed'), original);
    await cluster.runSql('subscribed', `BEGIN; ${cleanScript(15)} COMMIT;`);
    // Which it could not be with a subscription.
    await cluster.dropDatabase('subscribed');
  });

  it('takes nothing away when its transaction is rolled back', async () => {
    await createSampleDatabase(cluster, 'kept');
    const original = await fingerprintDatabase(cluster, 'kept');
    await cluster.runSql('kept', `BEGIN; ${cleanScript(15)} ROLLBACK;`);
    assertSameDatabase(await fingerprintDatabase(cluster, 'kept'), original);
  });
});
