import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { openBackupObjects, restoreByHand } from '../support/backup-objects.ts';
import { assertFailure, assertNoSession, assertNothingBelow, entriesBelow } from '../support/cli-assertions.ts';
import { assertSameDatabase } from '../support/database-difference.ts';
import { fingerprintDatabase } from '../support/database-fingerprint.ts';
import { createLargeDatabase } from '../support/large-database.ts';
import type { Cluster } from '../support/postgres-cluster.ts';
import { startStandby, untilCaughtUp } from '../support/postgres-standby.ts';
import { aesKey, openStoryTeller, type StoryTeller } from '../support/story.ts';
import { waitUntil } from '../support/wait-until.ts';

let teller: StoryTeller;
let primary: Cluster;
let standby: Cluster;
before(async () => {
  teller = await openStoryTeller();
  primary = teller.cluster;
  await createLargeDatabase(primary, 'large', 40);
  // Queries are in the way of what the primary has vacuumed, and are not waited for.
  standby = await startStandby(primary, { max_standby_streaming_delay: '0' });
  await untilCaughtUp(primary, standby);
});
after(async () => {
  await standby[Symbol.asyncDispose]();
  await teller[Symbol.asyncDispose]();
});

const onStandby = () => ({ env: { PGPORT: String(standby.port) } });

describe('a hot standby', () => {
  it('is backed up in several streams, and says so', async () => {
    const story = teller.story();
    const backup = await story.create('large', `--jobs 2 ${aesKey}`, onStandby());
    assert.equal(backup.source.inRecovery, true);
    const objects = await openBackupObjects(story, backup);
    const parts = objects.contents.tables.flatMap((table) => table.parts);
    assert.equal(
      parts.reduce((sum, { rows }) => sum + (rows ?? 0), 0),
      40 * 7500,
    );
    await primary.createDatabase(story.target);
    await restoreByHand(primary, objects, story.target);
    assertSameDatabase(await fingerprintDatabase(primary, story.target), await fingerprintDatabase(primary, 'large'));
    await assertNoSession(standby, 'large');
  });

  it('that must cancel queries to go on with recovery ends the backup, and nothing is left', async () => {
    const story = teller.story();
    const run = story.start(`create -d large --jobs 2 --compress none --upload-rate 4 ${aesKey}`, onStandby());
    const isWriting = () =>
      entriesBelow(story.storeFolder).some((path) => /data-\d+/.test(path) && statSync(path).size > 0);
    await waitUntil(isWriting, 'rows are on their way');
    await primary.query('large', 'DELETE FROM large WHERE n % 2 = 0');
    await primary.query('large', 'VACUUM large');
    assertFailure(await run.ended, {
      code: 10,
      message: /conflict with recovery/,
      hint: /./,
    });
    assertNothingBelow(story.storeFolder);
    await assertNoSession(standby, 'large');
  });
});
