import assert from 'node:assert/strict';
import { before, beforeEach, afterEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { streamOf } from '../../src/core/byte-stream.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { openStore } from '../../src/storage/open-store.ts';
import type { StoreTimings } from '../../src/storage/store-settings.ts';
import { bucket, makeBucket, openTestStore, s3Endpoint, unfinishedUploads, withServer } from '../support/s3-server.ts';
import { FaultProxy, refusal } from '../support/fault-proxy.ts';
import { inReusedChunks, listAll, randomLookingBytes, readAll, sha256, stallingAfter } from '../support/test-bytes.ts';

const mebibyte = 1024 * 1024;
const impatient: StoreTimings = {
  connectTimeoutMs: 2_000,
  idleTimeoutMs: 1_000,
  retry: { attempts: 4, firstDelayMs: 10, maxDelayMs: 50 },
  patientRetry: { attempts: 6, firstDelayMs: 10, maxDelayMs: 100 },
};
const bytes = randomLookingBytes(30 * mebibyte + 5);

const partPut = /^PUT \S+partNumber=/;
const wholePut = /^PUT (?!\S*partNumber)/;
const beginUpload = /^POST \S+\?uploads/;
const completeUpload = /^POST \S+uploadId=/;
const objectGet = /^GET \S+x-id=GetObject/;

function body(): AsyncIterable<Uint8Array> {
  return inReusedChunks(bytes, [100_003, mebibyte]);
}

describe('S3 over a bad connection', () => {
  let proxy: FaultProxy;
  let store: ObjectStore;

  before(async () => await makeBucket());
  beforeEach(async () => {
    proxy = await FaultProxy.start(Number(new URL(s3Endpoint()).port));
    store = await openTestStore({ s3: { endpoint: proxy.endpoint } }, { timings: impatient });
  });
  afterEach(async () => {
    await store[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
  });

  async function assertStoredWhole(key: string): Promise<void> {
    assert.equal(sha256(await readAll(store.get(key))), sha256(bytes));
    assert.equal(proxy.pendingFaults, 0, 'a fault did not happen');
    assert.deepEqual(await unfinishedUploads(store), []);
  }

  it('stores a body although parts are cut off on their way', async () => {
    proxy.inject(partPut, { kind: 'reset', direction: 'up', afterBytes: 3 * mebibyte }, 3);
    await store.put('a', body());
    await assertStoredWhole('a');
  });

  it('stores a body although answers to parts are lost', async () => {
    proxy.inject(partPut, { kind: 'reset', direction: 'down', afterBytes: 0 }, 3);
    await store.put('a', body());
    await assertStoredWhole('a');
  });

  it('stores a body although a bit of a part arrives changed', async () => {
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

  it('waits as long as an overloaded server asks for', async () => {
    const fault = refusal('503 Slow Down', { 'Retry-After': '1' });
    proxy.inject(wholePut, fault);
    const policy = { attempts: 2, firstDelayMs: 1, maxDelayMs: 500 };
    await using waiting = await openTestStore(
      { s3: { endpoint: proxy.endpoint } },
      { timings: { ...impatient, patientRetry: policy } },
    );
    const before = performance.now();
    await waiting.put('a', streamOf('x'));
    assert.ok(performance.now() - before >= 1_000);
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
    const rival = await openStore(store.url, withServer({}));
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
    const rival = await openStore(store.url, withServer({}));
    async function* late(): AsyncGenerator<Uint8Array> {
      yield bytes;
      await rival.put('m', streamOf('theirs'));
    }
    await assert.rejects(store.put('m', late(), { createOnly: true }), { kind: 'conflict' });
    assert.equal((await readAll(rival.get('m'))).toString(), 'theirs');
    assert.deepEqual(await unfinishedUploads(store), []);
    await rival[Symbol.asyncDispose]();
  });

  it('gives up in the end, and leaves no unfinished upload and no object', async () => {
    proxy.inject(partPut, { kind: 'reset', direction: 'up', afterBytes: mebibyte }, 1_000);
    await assert.rejects(store.put('a', body()), {
      name: 'BackupError',
      kind: 'storage',
      message: /cannot store "a" in "s3:.*cannot reach the server/,
    });
    assert.deepEqual(await unfinishedUploads(store), []);
    assert.deepEqual(await listAll(store.list('')), []);
  });

  it('leaves no unfinished upload when it is interrupted while the upload begins', async () => {
    proxy.latencyMs = 50;
    const controller = new AbortController();
    const putting = store.put(
      'a',
      stallingAfter(bytes.subarray(0, 9 * mebibyte), () => {}),
      {
        signal: controller.signal,
      },
    );
    while (!proxy.requests.some((request) => beginUpload.test(request))) await sleep(1);
    controller.abort(new Error('interrupted'));
    await assert.rejects(putting, /interrupted/);
    assert.deepEqual(await unfinishedUploads(store), []);
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

describe('S3 that refuses', () => {
  const secret = process.env['AWS_SECRET_ACCESS_KEY'];
  const keyId = process.env['AWS_ACCESS_KEY_ID'];
  before(async () => await makeBucket());
  afterEach(() => {
    process.env['AWS_SECRET_ACCESS_KEY'] = secret;
    process.env['AWS_ACCESS_KEY_ID'] = keyId;
  });

  const wrong = { AWS_SECRET_ACCESS_KEY: 'not-the-secret', AWS_ACCESS_KEY_ID: 'nobody' };
  for (const [name, value] of Object.entries(wrong)) {
    it(`says access for a wrong ${name}`, async () => {
      process.env[name] = value;
      await using store = await openTestStore();
      const leak = new RegExp(value);
      for (const call of [
        async () => await store.put('a', streamOf('x')),
        async () => await readAll(store.get('a')),
        async () => await listAll(store.list('')),
        async () => await store.head('a'),
        async () => await store.delete(['a', 'b']),
      ]) {
        await assert.rejects(call, (error: Error & { kind?: string; hint?: string }) => {
          assert.equal(error.kind, 'access');
          assert.ok(error.hint);
          assert.doesNotMatch(error.message + error.hint, leak);
          return true;
        });
      }
    });
  }

  it('says notFound for a bucket that does not exist', async () => {
    await using store = await openStore('s3://no-such-bucket/prefix', withServer({}));
    const expected = { kind: 'notFound', message: /the bucket does not exist/, hint: /bucket/ };
    await assert.rejects(store.put('a', streamOf('x')), expected);
    await assert.rejects(store.put('a', streamOf('x'), { createOnly: true }), expected);
    await assert.rejects(store.put('a', body()), expected);
    await assert.rejects(store.delete(['a']), expected);
    await assert.rejects(store.delete(['a', 'b']), expected);
  });

  it('keeps what lies beside its prefix', async () => {
    await using inner = await openTestStore();
    await using outer = await openStore(`s3://${bucket}`, withServer({}));
    const prefix = inner.url.slice(`s3://${bucket}/`.length);
    await outer.put(`${prefix}-beside/a`, streamOf('foreign'));
    await inner.put('a', streamOf('own'));
    assert.deepEqual(
      (await listAll(inner.list(''))).map(({ key }) => key),
      ['a'],
    );
    assert.deepEqual(
      (await listAll(outer.list(`${prefix}/`))).map(({ key }) => key),
      [`${prefix}/a`],
    );
  });
});
