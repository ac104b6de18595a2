import assert from 'node:assert/strict';
import { afterEach, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { streamOf } from '../../src/core/byte-stream.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { openStore } from '../../src/storage/open-store.ts';
import type { StoreTimings } from '../../src/storage/store-settings.ts';
import {
  azuriteServer,
  makeContainer,
  openTestStore,
  uncommittedBlobs,
  withKey,
  withServer,
} from '../support/azurite-server.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import { inReusedChunks, listAll, randomLookingBytes, readAll, sha256, stallingAfter } from '../support/test-bytes.ts';

const mebibyte = 1024 * 1024;
const impatient: StoreTimings = {
  connectTimeoutMs: 2_000,
  idleTimeoutMs: 1_000,
  retry: { attempts: 4, firstDelayMs: 10, maxDelayMs: 50 },
  patientRetry: { attempts: 6, firstDelayMs: 10, maxDelayMs: 100 },
};
const bytes = randomLookingBytes(30 * mebibyte + 5);

const partPut = /^PUT \S+comp=block&/;
const wholePut = /^PUT (?!\S*comp=)/;
const completeUpload = /^PUT \S+comp=blocklist/;
const objectGet = /^GET (?!\S*comp=)/;

function body(): AsyncIterable<Uint8Array> {
  return inReusedChunks(bytes, [100_003, mebibyte]);
}

describe('Azure over a bad connection', () => {
  let proxy: FaultProxy;
  let store: ObjectStore;

  before(makeContainer);
  beforeEach(async () => {
    const { endpoint, account } = azuriteServer();
    proxy = await FaultProxy.start(Number(new URL(endpoint).port));
    store = await openTestStore({ azure: { endpoint: `${proxy.endpoint}/${account}` } }, { timings: impatient });
  });
  afterEach(async () => {
    await store[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
  });

  async function assertStoredWhole(key: string): Promise<void> {
    assert.equal(sha256(await readAll(store.get(key))), sha256(bytes));
    assert.equal(proxy.pendingFaults, 0, 'a fault did not happen');
    assert.deepEqual(await uncommittedBlobs(store), []);
  }

  it('stores a body although blocks are cut off on their way', async () => {
    proxy.inject(partPut, { kind: 'reset', direction: 'up', afterBytes: 3 * mebibyte }, 3);
    await store.put('a', body());
    await assertStoredWhole('a');
  });

  it('stores a body although answers to blocks are lost', async () => {
    proxy.inject(partPut, { kind: 'reset', direction: 'down', afterBytes: 0 }, 3);
    await store.put('a', body());
    await assertStoredWhole('a');
  });

  it('stores a body although a bit of a block arrives changed', async () => {
    proxy.inject(partPut, { kind: 'flip', direction: 'up', atByte: 2 * mebibyte });
    await store.put('a', body());
    await assertStoredWhole('a');
  });

  it('stores a body although the server stops answering for a while', async () => {
    proxy.inject(partPut, { kind: 'stall', direction: 'down', afterBytes: 0 }, 2);
    await store.put('a', body());
    await assertStoredWhole('a');
  });

  it('stores a body although the server is away for a while', async () => {
    const putting = store.put('a', body());
    while (!proxy.requests.some((request) => partPut.test(request))) await sleep(1);
    await proxy.suspend();
    await sleep(50);
    await proxy.resume();
    await putting;
    await assertStoredWhole('a');
  });

  for (const cut of [0, 1, 300, 3 * mebibyte]) {
    it(`reads on at the exact byte when answers are cut after ${cut} bytes`, async () => {
      await store.put('a', body());
      proxy.inject(objectGet, { kind: 'reset', direction: 'down', afterBytes: cut }, 4);
      await assertStoredWhole('a');
    });
  }

  it('reads on when an answer stalls', async () => {
    await store.put('a', body());
    proxy.inject(objectGet, { kind: 'stall', direction: 'down', afterBytes: mebibyte }, 2);
    await assertStoredWhole('a');
  });

  it('fails with integrity when the object is replaced before its last ranges are asked for', async () => {
    await store.put('a', streamOf(bytes, bytes));
    const reading = store.get('a')[Symbol.asyncIterator]();
    await reading.next();
    await store.put('a', streamOf(randomLookingBytes(2 * bytes.byteLength, 9)));
    const readRest = async (): Promise<void> => {
      while ((await reading.next()).done !== true);
    };
    await assert.rejects(readRest, { kind: 'integrity', message: /has changed/ });
  });

  for (const createOnly of [false, true]) {
    it(`counts a put as done when only its answer is lost (${createOnly ? 'create-only' : 'replacing'})`, async () => {
      proxy.inject(wholePut, { kind: 'reset', direction: 'down', afterBytes: 0 }, 2);
      const put = await store.put('m', streamOf('manifest'), { createOnly });
      assert.equal(proxy.pendingFaults, 0);
      assert.equal(put.sizeBytes, 8);
      assert.equal((await store.head('m'))?.version, put.version);
      assert.equal((await readAll(store.get('m'))).toString(), 'manifest');
    });

    it(`counts an upload as done when the answer to its end is lost (${createOnly ? 'create-only' : 'replacing'})`, async () => {
      proxy.inject(completeUpload, { kind: 'reset', direction: 'down', afterBytes: 0 });
      const put = await store.put('a', body(), { createOnly });
      assert.equal(put.sizeBytes, bytes.byteLength);
      await assertStoredWhole('a');
    });
  }

  it('still sees a conflict when the answer to the losing put is lost', async () => {
    const rival = await openStore(store.url, withServer({}), withKey());
    async function* late(): AsyncGenerator<Uint8Array> {
      await rival.put('m', streamOf('manifest'));
      yield Buffer.from('manifest');
    }
    proxy.inject(wholePut, { kind: 'reset', direction: 'down', afterBytes: 0 });
    await assert.rejects(store.put('m', late(), { createOnly: true }), { kind: 'conflict' });
    assert.equal(proxy.pendingFaults, 0);
    await rival[Symbol.asyncDispose]();
  });

  it('sees the object of another that appears while a large create-only body is on its way', async () => {
    const rival = await openStore(store.url, withServer({}), withKey());
    async function* late(): AsyncGenerator<Uint8Array> {
      yield bytes;
      await rival.put('m', streamOf('theirs'));
    }
    await assert.rejects(store.put('m', late(), { createOnly: true }), { kind: 'conflict' });
    assert.equal((await readAll(rival.get('m'))).toString(), 'theirs');
    await rival[Symbol.asyncDispose]();
  });

  it('lets one of several large create-only bodies win, whose blocks do not mix', async () => {
    const bodies = [1, 2, 3].map((seed) => randomLookingBytes(17 * mebibyte, seed));
    const puts = bodies.map(async (content) => await store.put('m', streamOf(content), { createOnly: true }));
    const outcomes = await Promise.allSettled(puts);
    const winner = outcomes.findIndex(({ status }) => status === 'fulfilled');
    for (const [index, outcome] of outcomes.entries()) {
      if (index !== winner) assert.equal(outcome.status === 'rejected' && outcome.reason.kind, 'conflict');
    }
    assert.ok((await readAll(store.get('m'))).equals(bodies[winner] ?? Buffer.alloc(0)));
  });

  it('gives up in the end, and leaves no object', async () => {
    proxy.inject(partPut, { kind: 'reset', direction: 'up', afterBytes: mebibyte }, 1_000);
    await assert.rejects(store.put('a', body()), {
      name: 'BackupError',
      kind: 'storage',
      message: /cannot store "a" in "az:.*cannot reach the server/,
    });
    assert.equal(await store.head('a'), null);
    assert.deepEqual(await listAll(store.list('')), []);
  });

  it('leaves blocks of an interrupted upload to the service, unseen, and replaces them with the next put', async () => {
    const controller = new AbortController();
    const signal = controller.signal;
    const stalled = stallingAfter(bytes.subarray(0, 9 * mebibyte), () => {});
    const putting = store.put('a', stalled, { signal });
    while ((await uncommittedBlobs(store)).length === 0) await sleep(5);
    controller.abort(new Error('interrupted'));
    await assert.rejects(putting, /interrupted/);
    assert.equal(await store.head('a'), null);
    assert.deepEqual(await listAll(store.list('')), []);
    await assert.rejects(readAll(store.get('a')), { kind: 'notFound' });
    await store.delete(['a']);
    await store.put('a', body(), { createOnly: true });
    await assertStoredWhole('a');
  });

  it('says that the server gives no answer', async () => {
    proxy.inject(/./, { kind: 'stall', direction: 'down', afterBytes: 0 }, 1_000);
    await assert.rejects(store.head('a'), { kind: 'storage', message: /no answer in time/, hint: /endpoint/ });
  });

  it('says that the server cannot be reached', async () => {
    await proxy.suspend();
    const expected = { kind: 'storage', message: /cannot reach the server: .*ECONNREFUSED/ };
    await assert.rejects(store.put('a', streamOf('x')), expected);
    await assert.rejects(readAll(store.get('a')), expected);
    await assert.rejects(listAll(store.list('')), expected);
    await assert.rejects(store.delete(['a', 'b']), expected);
  });
});
