import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import type { StoreTimings } from '../../src/storage/store-settings.ts';
import { FaultProxy, refusal, type Fault } from '../support/fault-proxy.ts';
import { makeBucket, openTestStore, s3Endpoint } from '../support/s3-server.ts';
import { SweepStage } from '../support/sweep-stage.ts';
import { listAll } from '../support/test-bytes.ts';

const impatient: StoreTimings = {
  connectTimeoutMs: 2_000,
  idleTimeoutMs: 5_000,
  retry: { attempts: 2, firstDelayMs: 1, maxDelayMs: 5 },
  patientRetry: { attempts: 4, firstDelayMs: 1, maxDelayMs: 5 },
};

const lostAnswer: Fault = { kind: 'reset', direction: 'down', afterBytes: 0 };
/** At a place that no request has. */
const noFault: Fault = { kind: 'flip', direction: 'up', atByte: Number.MAX_SAFE_INTEGER };

describe('a create whose S3 server has kept the manifest, and cannot say so', () => {
  let stage: SweepStage;
  before(async () => {
    await makeBucket();
    stage = await SweepStage.open();
  });
  after(async () => await stage[Symbol.asyncDispose]());

  /** The manifest is stored, its answer is lost, and nobody can look whose it is. */
  async function withUnknownManifest(use: (store: ObjectStore) => Promise<void>): Promise<void> {
    await using proxy = await FaultProxy.start(Number(new URL(s3Endpoint()).port));
    await using store = await openTestStore({ s3: { endpoint: proxy.endpoint } }, { timings: impatient });
    const look = /^HEAD \S+manifest/;
    // The look before the put.
    proxy.inject(look, noFault);
    proxy.inject(look, refusal('503 Slow Down'), 1000);
    proxy.inject(/^PUT \S+manifest/, lostAnswer);
    await use(store);
    assert.equal(proxy.happenedFaults, 1 + impatient.retry.attempts);
  }

  it('leaves nothing', async () => {
    await withUnknownManifest(async (store) => {
      await assert.rejects(stage.create(store, 'premade'), { kind: 'storage' });
      assert.deepEqual(await listAll(store.list('')), []);
    });
  });

  it('leaves nothing in it or in another store', async () => {
    await withUnknownManifest(async (store) => {
      await using other = await openTestStore({}, { timings: impatient });
      await assert.rejects(stage.create([store, other], 'premade'), { kind: 'storage' });
      for (const each of [store, other]) assert.deepEqual(await listAll(each.list('')), []);
    });
  });
});
