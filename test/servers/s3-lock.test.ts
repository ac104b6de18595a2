import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GetObjectTaggingCommand, PutBucketPolicyCommand } from '@aws-sdk/client-s3';
import { streamOf } from '../../src/core/byte-stream.ts';
import type { LockMode, LockRequest } from '../../src/core/object-lock.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { openStore } from '../../src/storage/open-store.ts';
import { makeBucket, openTestStore, placeOf, directClient, s3ServerName, withServer } from '../support/s3-server.ts';
import { ThrowawayBucket } from '../support/s3-throwaway-bucket.ts';
import { listAll, randomLookingBytes, readAll } from '../support/test-bytes.ts';

const bodies = {
  'a small object': Buffer.from('x'),
  'an object of several parts': randomLookingBytes(20 * 1024 * 1024),
};
const hour = 3_600_000;

async function openLocked(
  made: ThrowawayBucket,
  lock: LockRequest,
  checksumMode?: 'when-required',
): Promise<ObjectStore> {
  const s3 = checksumMode === undefined ? {} : { checksumMode };
  return await openStore(`s3://${made.name}/p`, withServer({ s3, lock }));
}

describe('Object Lock of S3', () => {
  for (const [what, bytes] of Object.entries(bodies)) {
    for (const checksumMode of [undefined, 'when-required'] as const) {
      it(`locks ${what} for the time asked for (checksums ${checksumMode ?? 'auto'})`, async () => {
        await using made = await ThrowawayBucket.make('locked');
        const lock = { retention: { mode: 'governance', durationMs: hour }, legalHold: true } as const;
        await using store = await openLocked(made, lock, checksumMode);
        const begun = Date.now();
        const put = await store.put('a', streamOf(bytes));
        for (const object of [put, await store.head('a')]) {
          assert.equal(object?.lock?.legalHold, true);
          assert.equal(object.lock.retention?.mode, 'governance');
          const untilMs = Date.parse(object.lock.retention.until);
          assert.ok(untilMs >= begun + hour && untilMs <= Date.now() + hour + 1_000);
        }
        const [version] = await made.versions();
        assert.ok(version);
        assert.equal(version.versionId, put.version);
        await assert.rejects(made.deleteVersion(version), /WORM|forbidden by object lock/);
        await made.liftLegalHold(version);
        await assert.rejects(made.deleteVersion(version), /WORM|forbidden by object lock/);
        await made.deleteVersion(version, true);
      });
    }

    it(`locks ${what} so that nobody may delete it before its time (compliance)`, async () => {
      await using made = await ThrowawayBucket.make('locked');
      const lock = { retention: { mode: 'compliance', durationMs: 2_000 }, legalHold: false } as const;
      await using store = await openLocked(made, lock);
      const put = await store.put('a', streamOf(bytes));
      assert.equal(put.lock?.retention?.mode, 'compliance' satisfies LockMode);
      const [version] = await made.versions();
      assert.ok(version);
      await assert.rejects(made.deleteVersion(version, true), /WORM|forbidden by object lock/);
      const deletable = Date.parse(put.lock.retention.until) + 500;
      while (Date.now() < deletable) await new Promise((resolve) => setTimeout(resolve, 100));
      await made.deleteVersion(version);
    });

    it(`holds ${what} without a time`, async () => {
      await using made = await ThrowawayBucket.make('locked');
      await using store = await openLocked(made, { legalHold: true });
      const put = await store.put('a', streamOf(bytes));
      assert.deepEqual(put.lock, { legalHold: true });
      assert.deepEqual((await store.head('a'))?.lock, { legalHold: true });
    });
  }

  it('deletes a locked object by a marker before which it stays', async () => {
    await using made = await ThrowawayBucket.make('locked');
    await using store = await openLocked(made, { legalHold: true });
    await store.put('a', streamOf('x'));
    await store.put('b', streamOf('y'));
    await store.delete(['a']);
    await store.delete(['a', 'b']);
    assert.deepEqual(await listAll(store.list('')), []);
    assert.equal(await store.head('a'), null);
    await assert.rejects(readAll(store.get('a')), { kind: 'notFound' });
    const kept = (await made.versions()).filter(({ isDeleteMarker }) => !isDeleteMarker);
    assert.deepEqual(kept.map(({ key }) => key).toSorted(), ['p/a', 'p/b']);
  });

  it('says config for a bucket without Object Lock before it reads the body, and leaves nothing', async () => {
    await makeBucket();
    await using store = await openTestStore({ lock: { legalHold: true } });
    let isRead = false;
    async function* body(): AsyncGenerator<Uint8Array> {
      isRead = true;
      yield Buffer.from('x');
    }
    const expected = { kind: 'config', message: /the bucket has no Object Lock/, hint: /leave out the lock/ };
    await assert.rejects(store.put('a', body()), expected);
    assert.equal(isRead, false);
    assert.deepEqual(await listAll(store.list('')), []);
  });

  it('needs no bucket with Object Lock for a lock that locks nothing', async () => {
    await makeBucket();
    await using store = await openTestStore({ lock: { legalHold: false } });
    assert.equal((await store.put('a', streamOf('x'))).lock, undefined);
  });

  // MinIO applies such policies to strangers only.
  if (s3ServerName() === 'ceph-rgw') {
    it('says policy, and until when, when the server refuses to delete a locked object', async () => {
      await using made = await ThrowawayBucket.make('locked');
      const lock = { retention: { mode: 'governance', durationMs: hour }, legalHold: false } as const;
      await using store = await openLocked(made, lock);
      const put = await store.put('a', streamOf('x'));
      await store.put('b', streamOf('x'));
      await setPolicy(made, 's3:DeleteObject');
      const until = put.lock?.retention?.until ?? '';
      for (const keys of [['a'], ['a', 'b']]) {
        await assert.rejects(store.delete(keys), {
          kind: 'policy',
          message: new RegExp(`cannot delete "a" in "s3:.*it is locked \\(governance\\) until ${until}`),
          hint: /Wait/,
        });
      }
      await setPolicy(made, 's3:PutBucketLogging');
    });

    it('removes a large object that it may not lock, its very version', async () => {
      await using made = await ThrowawayBucket.make('locked');
      await using store = await openLocked(made, { legalHold: true });
      await setPolicy(made, 's3:PutObjectLegalHold');
      await assert.rejects(store.put('a', streamOf(bodies['an object of several parts'])), {
        kind: 'access',
        message: /cannot lock "a" in "s3:.*permission denied/,
      });
      assert.deepEqual(await made.versions(), []);
      await setPolicy(made, 's3:PutBucketLogging');
    });
  }
});

/** Denies everybody one right to the objects of the bucket. */
async function setPolicy(made: ThrowawayBucket, action: string): Promise<void> {
  const arn = `arn:aws:s3:::${made.name}`;
  const statement = { Effect: 'Deny', Principal: { AWS: ['*'] }, Action: [action], Resource: [arn, `${arn}/*`] };
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
  await made.client.send(new PutBucketPolicyCommand({ Bucket: made.name, Policy }));
}

describe('class and tags of objects in S3', () => {
  for (const [what, bytes] of Object.entries(bodies)) {
    it(`keeps ${what} in the class asked for`, async () => {
      await makeBucket();
      await using store = await openTestStore({ s3: { storageClass: 'STANDARD' } });
      assert.equal((await store.put('a', streamOf(bytes))).sizeBytes, bytes.byteLength);
    });

    it(`tags ${what}`, async () => {
      await makeBucket();
      await using store = await openTestStore({ tags: { tool: 'librelog-backup', 'data class': 'a+b/c=d' } });
      await store.put('a', streamOf(bytes));
      const client = await directClient();
      const { bucket, prefix } = placeOf(store);
      const { TagSet = [] } = await client.send(new GetObjectTaggingCommand({ Bucket: bucket, Key: `${prefix}/a` }));
      client.destroy();
      assert.deepEqual(Object.fromEntries(TagSet.map(({ Key, Value }) => [Key, Value])), {
        tool: 'librelog-backup',
        'data class': 'a+b/c=d',
      });
    });
  }
});
