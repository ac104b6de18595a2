import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { streamOf } from '../../src/core/byte-stream.ts';
import { openStore } from '../../src/storage/open-store.ts';
import { testObjectStore } from '../contract/object-store-contract.ts';
import { gcsEndpoint, makeBucket, openTestStore, withServer } from '../support/gcs-server.ts';
import { ownGoogleEnvironment } from '../support/google-environment.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import { listAll, randomLookingBytes, readAll, sha256 } from '../support/test-bytes.ts';

const environment = await ownGoogleEnvironment();
after(async () => await environment[Symbol.asyncDispose]());
await makeBucket();

testObjectStore('gcs, fake-gcs-server', {
  open: async () => await openTestStore(),
  openMissing: async () => await openStore('gs://no-such-bucket/prefix', withServer({})),
  // The server cannot be asked for its unfinished uploads.
  abandonUpload: null,
  leftovers: async () => [],
});

const mebibyte = 1024 * 1024;
const bytes = randomLookingBytes(20 * mebibyte + 5);
const impatient = {
  idleTimeoutMs: 1_000,
  retry: { attempts: 4, firstDelayMs: 10, maxDelayMs: 50 },
  patientRetry: { attempts: 6, firstDelayMs: 10, maxDelayMs: 100 },
};

describe('fake-gcs-server over a bad connection', () => {
  async function withProxy(use: (proxy: FaultProxy, endpoint: string) => Promise<void>): Promise<void> {
    await using proxy = await FaultProxy.start(Number(new URL(gcsEndpoint()).port));
    await use(proxy, proxy.endpoint);
    assert.equal(proxy.pendingFaults, 0, 'a fault did not happen');
  }

  it('gets the whole object although requests and answers are cut', async () => {
    await withProxy(async (proxy, endpoint) => {
      await using store = await openTestStore({ gcs: { endpoint } }, { timings: impatient });
      proxy.inject(/^POST \S+uploadType=multipart/, { kind: 'reset', direction: 'up', afterBytes: mebibyte });
      proxy.inject(/^POST \S+uploadType=multipart/, { kind: 'reset', direction: 'down', afterBytes: 0 });
      proxy.inject(/^POST \S+uploadType=resumable/, { kind: 'reset', direction: 'down', afterBytes: 0 });
      proxy.inject(/^GET \S+alt=media/, { kind: 'reset', direction: 'down', afterBytes: 2 * mebibyte }, 3);
      await store.put('small', streamOf(bytes.subarray(0, 5 * mebibyte)), { createOnly: true });
      await store.put('large', streamOf(bytes), { createOnly: true });
      assert.equal(sha256(await readAll(store.get('small'))), sha256(bytes.subarray(0, 5 * mebibyte)));
      assert.equal(sha256(await readAll(store.get('large'))), sha256(bytes));
    });
  });

  // It takes the question how much it has for the end of the upload: an object that must not stay.
  it('keeps nothing when the server makes an object of half an upload', async () => {
    await withProxy(async (proxy, endpoint) => {
      await using store = await openTestStore({ gcs: { endpoint } }, { timings: impatient });
      proxy.inject(/^PUT \S+upload_id=/, { kind: 'reset', direction: 'up', afterBytes: mebibyte });
      await assert.rejects(store.put('a', streamOf(bytes)), {
        kind: 'storage',
        message: /"a" in "gs:.*ended the upload before its last byte/,
      });
      assert.deepEqual(await listAll(store.list('')), []);
    });
  });
});
