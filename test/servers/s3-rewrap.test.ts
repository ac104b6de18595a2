import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { rewrapBackups } from '../../src/backup/rewrap-backups.ts';
import { verifyKeys } from '../../src/backup/verify-keys.ts';
import { Catalog } from '../../src/catalog/catalog.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { openStore } from '../../src/storage/open-store.ts';
import { quietContext } from '../support/quiet-context.ts';
import { withServer } from '../support/s3-server.ts';
import { ThrowawayBucket } from '../support/s3-throwaway-bucket.ts';
import { idOf, makeSmallBackup } from '../support/small-backups.ts';

const env = { OLD: randomBytes(32).toString('hex'), NEW: randomBytes(32).toString('hex') };
const context = quietContext({ ...process.env, ...env });
const count = 20;

async function makeBackups(store: ObjectStore): Promise<void> {
  const encryption = { method: 'aes-256', keys: ['env:OLD'] } as const;
  for (let number = 0; number < count; number += 1) {
    await makeSmallBackup({ store, id: idOf(number), encryption }, context);
  }
}

async function rewrap(store: ObjectStore): Promise<string[]> {
  const request = { store, unlock: { keys: ['env:OLD'] }, wrap: { keys: ['env:NEW'] }, isDryRun: false };
  return (await rewrapBackups(request, context)).map(({ outcome }) => outcome);
}

async function countOpened(store: ObjectStore, key: string): Promise<number> {
  const verified = await verifyKeys({ store, keys: { keys: [key] } }, context);
  return verified.filter(({ outcome }) => outcome === 'opened').length;
}

describe('rewrap in S3', () => {
  it('adds to what Object Lock keeps, and replaces and deletes none of it', async () => {
    await using made = await ThrowawayBucket.make('locked');
    const lock = { retention: { mode: 'governance', durationMs: 3_600_000 }, legalHold: false } as const;
    await using store = await openStore(`s3://${made.name}/p`, withServer({ lock }));
    await makeBackups(store);
    const before = await made.versions();
    assert.deepEqual(await rewrap(store), Array(count).fill('rewrapped'));
    const after = await made.versions();
    for (const version of before) assert.ok(after.some((other) => other.versionId === version.versionId));
    assert.equal(after.length, before.length + count);
    assert.equal(new Set(after.map(({ key }) => key)).size, after.length);
    assert.equal((await store.head(`shop/${idOf(0)}/manifest.2.json`))?.lock?.retention?.mode, 'governance');
    assert.equal(await countOpened(store, 'env:NEW'), count);
    assert.deepEqual(await rewrap(store), Array(count).fill('unchanged'));
  });

  it('writes one revision when two run at once', async () => {
    await using made = await ThrowawayBucket.make();
    await using store = await openStore(`s3://${made.name}/p`, withServer({}));
    await using other = await openStore(`s3://${made.name}/p`, withServer({}));
    await makeBackups(store);
    const outcomes = (await Promise.all([rewrap(store), rewrap(other)])).flat();
    assert.equal(outcomes.filter((outcome) => outcome === 'rewrapped').length, count);
    assert.equal(outcomes.filter((outcome) => outcome === 'unchanged').length, count);
    const revisions = (await new Catalog(store).list()).map(({ manifest }) => manifest?.revision);
    assert.deepEqual(revisions, Array(count).fill(2));
    assert.equal(await countOpened(store, 'env:NEW'), count);
  });
});
