import assert from 'node:assert/strict';
import { after, afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { streamOf } from '../../src/core/byte-stream.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { openStore } from '../../src/storage/open-store.ts';
import type { StoreTimings } from '../../src/storage/store-settings.ts';
import { Refusal } from '../support/gcs-double-objects.ts';
import { GcsDouble } from '../support/gcs-double.ts';
import { ownGoogleEnvironment } from '../support/google-environment.ts';
import { FaultProxy, refusal } from '../support/fault-proxy.ts';
import { inReusedChunks, listAll, randomLookingBytes, readAll, sha256, stallingAfter } from '../support/test-bytes.ts';

const mebibyte = 1024 * 1024;
const impatient: StoreTimings = {
  connectTimeoutMs: 2_000,
  idleTimeoutMs: 1_000,
  retry: { attempts: 4, firstDelayMs: 1, maxDelayMs: 10 },
  patientRetry: { attempts: 6, firstDelayMs: 1, maxDelayMs: 20 },
};
// Parts of 8 MiB: three whole ones and a rest that is no whole number of units.
const bytes = randomLookingBytes(26 * mebibyte + 5);

const session = /^PUT \S+upload_id=/;
const whole = /^POST \S+uploadType=multipart/;
const beginning = /^POST \S+uploadType=resumable/;
const download = /^GET \S+alt=media/;

function body(): AsyncIterable<Uint8Array> {
  return inReusedChunks(bytes, [100_003, mebibyte]);
}

const environment = await ownGoogleEnvironment();
after(async () => await environment[Symbol.asyncDispose]());

describe('Google Cloud Storage over a bad connection', () => {
  let double: GcsDouble;
  let proxy: FaultProxy;
  let store: ObjectStore;

  beforeEach(async () => {
    double = await GcsDouble.start('bucket');
    proxy = await FaultProxy.start(double.port);
    store = await openBehindProxy();
  });
  afterEach(async () => {
    await store[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
    await double[Symbol.asyncDispose]();
  });

  async function openBehindProxy(timings: Partial<StoreTimings> = {}): Promise<ObjectStore> {
    const settings = { gcs: { endpoint: proxy.endpoint }, uploadMemoryBytes: 32 * mebibyte };
    return await openStore('gs://bucket/some prefix', settings, { timings: { ...impatient, ...timings } });
  }

  async function assertStoredWhole(key: string): Promise<void> {
    assert.equal(sha256(await readAll(store.get(key))), sha256(bytes));
    assert.equal(proxy.pendingFaults, 0, 'a fault did not happen');
    assert.deepEqual(double.unfinished, []);
  }

  /** Where the requests of the upload said that their bytes belong. */
  function ranges(): string[] {
    const puts = double.requests.filter(({ method }) => method === 'PUT');
    return puts.map(({ headers }) => headers['content-range'] ?? '');
  }

  it('sends whole units, and the size with the last request only', async () => {
    await store.put('a', body());
    const mib = (count: number): number => count * mebibyte;
    assert.deepEqual(ranges(), [
      `bytes 0-${mib(8) - 1}/*`,
      `bytes ${mib(8)}-${mib(16) - 1}/*`,
      `bytes ${mib(16)}-${mib(24) - 1}/*`,
      `bytes ${mib(24)}-${mib(26) - 1}/*`,
      `bytes ${mib(26)}-${mib(26) + 4}/${mib(26) + 5}`,
    ]);
    await assertStoredWhole('a');
  });

  it('ends a body of whole parts with an empty request', async () => {
    await store.put('a', streamOf(bytes.subarray(0, 16 * mebibyte)));
    assert.equal(ranges().at(-1), `bytes */${16 * mebibyte}`);
    assert.equal(sha256(await readAll(store.get('a'))), sha256(bytes.subarray(0, 16 * mebibyte)));
  });

  for (const afterBytes of [0, 1, 300, 300_000, 3 * mebibyte]) {
    it(`goes on at the exact byte when every chunk is cut off after ${afterBytes} bytes`, async () => {
      proxy.inject(session, { kind: 'reset', direction: 'up', afterBytes }, 4);
      await store.put('a', body());
      await assertStoredWhole('a');
    });
  }

  it('takes any number of cuts as long as each attempt brings bytes', async () => {
    double.misbehaviour.cutAfterBytes = mebibyte;
    await store.put('a', body());
    const starts = ranges().flatMap((range) => /^bytes (\d+)-/.exec(range)?.[1] ?? []);
    assert.ok(starts.length > 2 * 6, 'more cuts than there are attempts');
    assert.ok(starts.every((start, index) => index === 0 || Number(start) > Number(starts[index - 1])));
    await assertStoredWhole('a');
  });

  it('stores a body although answers to chunks and questions are lost', async () => {
    proxy.inject(session, { kind: 'reset', direction: 'down', afterBytes: 0 }, 5);
    await store.put('a', body());
    await assertStoredWhole('a');
  });

  it('stores a body although the server stops answering for a while', async () => {
    proxy.inject(session, { kind: 'stall', direction: 'down', afterBytes: 0 }, 2);
    await store.put('a', body());
    await assertStoredWhole('a');
  });

  it('stores a body although the server is away for a while', async () => {
    const patient = await openBehindProxy({ patientRetry: { attempts: 10, firstDelayMs: 20, maxDelayMs: 200 } });
    const putting = patient.put('a', body());
    while (!proxy.requests.some((request) => session.test(request))) await sleep(1);
    await proxy.suspend();
    await sleep(20);
    await proxy.resume();
    await putting;
    await assertStoredWhole('a');
    await patient[Symbol.asyncDispose]();
  });

  it('sends again what the server did not keep of a chunk', async () => {
    double.misbehaviour.keepUnits = 5;
    await store.put('a', body());
    await assertStoredWhole('a');
  });

  it('gives up when the server keeps nothing of a chunk, and leaves no session', async () => {
    double.misbehaviour.keepUnits = 0;
    await assert.rejects(store.put('a', body()), { kind: 'storage', message: /"a" in "gs:.*takes no more bytes/ });
    assert.deepEqual(double.unfinished, []);
  });

  it('fails when the server has forgotten the session', async () => {
    double.refuse(/^PUT /, new Refusal(410, 'gone', 'Gone'));
    await assert.rejects(store.put('a', body()), { kind: 'storage', message: /forgotten the unfinished upload/ });
    assert.deepEqual(await listAll(store.list('')), []);
  });

  it('keeps nothing of a body of which a bit arrives changed', async () => {
    proxy.inject(session, { kind: 'flip', direction: 'up', atByte: 2 * mebibyte });
    await assert.rejects(store.put('a', body()), { kind: 'integrity', message: /arrived damaged/, hint: /again/ });
    assert.deepEqual(await listAll(store.list('')), []);
    assert.deepEqual(double.unfinished, []);
  });

  it('sends a small body again when a bit of it arrives changed', async () => {
    proxy.inject(whole, { kind: 'flip', direction: 'up', atByte: mebibyte });
    await store.put('a', streamOf(bytes.subarray(0, 2 * mebibyte)));
    assert.equal(sha256(await readAll(store.get('a'))), sha256(bytes.subarray(0, 2 * mebibyte)));
    assert.equal(proxy.pendingFaults, 0);
  });

  for (const [size, what] of [
    [1000, 'a small body'],
    [bytes.byteLength, 'a body of several parts'],
  ] as const) {
    it(`removes ${what} again when the server says that it keeps something else`, async () => {
      double.misbehaviour.damageContent = true;
      const put = store.put('a', streamOf(bytes.subarray(0, size)));
      await assert.rejects(put, { kind: 'integrity', message: /"a" in "gs:.*arrived damaged/ });
      assert.equal(await store.head('a'), null);
    });
  }

  it('waits as long as an overloaded server asks for', async () => {
    double.refuse(/^POST /, new Refusal(503, 'backendError', { message: 'Backend Error', retryAfter: '1' }));
    const waiting = await openBehindProxy({ patientRetry: { attempts: 2, firstDelayMs: 1, maxDelayMs: 500 } });
    const before = performance.now();
    await waiting.put('a', streamOf('x'));
    assert.ok(performance.now() - before >= 1_000);
    await waiting[Symbol.asyncDispose]();
  });

  for (const createOnly of [false, true]) {
    const how = createOnly ? 'create-only' : 'replacing';
    it(`counts a put as done when only its answer is lost (${how})`, async () => {
      proxy.inject(whole, { kind: 'reset', direction: 'down', afterBytes: 0 }, 2);
      const put = await store.put('m', streamOf('manifest'), { createOnly });
      assert.equal(proxy.pendingFaults, 0);
      assert.equal((await store.head('m'))?.version, put.version);
      assert.equal((await readAll(store.get('m'))).toString(), 'manifest');
    });

    it(`counts an upload as done when the answer to its end is lost (${how})`, async () => {
      // Of a body of two whole parts and a bit: the third request carries the size.
      const content = bytes.subarray(0, 16 * mebibyte + 3);
      async function* armed(): AsyncGenerator<Uint8Array> {
        yield content;
        while (ranges().length < 2 || double.unfinishedBytes < 16 * mebibyte) await sleep(1);
        proxy.inject(session, { kind: 'reset', direction: 'down', afterBytes: 0 }, 2);
      }
      const put = await store.put('a', armed(), { createOnly });
      assert.equal(proxy.pendingFaults, 0);
      assert.deepEqual(
        ranges()
          .slice(2)
          .map((range) => range.split('/')[1]),
        Array.from({ length: 3 }, () => String(content.byteLength)),
      );
      assert.equal((await store.head('a'))?.version, put.version);
      assert.equal(sha256(await readAll(store.get('a'))), sha256(content));
    });
  }

  it('still sees a conflict when the answer to the losing put is lost', async () => {
    const rival = await openStore(store.url, { gcs: { endpoint: double.endpoint } });
    async function* late(): AsyncGenerator<Uint8Array> {
      await rival.put('m', streamOf('manifest'));
      yield Buffer.from('manifest');
    }
    proxy.inject(whole, { kind: 'reset', direction: 'down', afterBytes: 0 });
    await assert.rejects(store.put('m', late(), { createOnly: true }), { kind: 'conflict' });
    assert.equal(proxy.pendingFaults, 0);
    await rival[Symbol.asyncDispose]();
  });

  it('does not call it a conflict when the answer to the put is lost and nobody can look whose the object is', async () => {
    const look = /^GET \S+\/o\//;
    async function* armed(): AsyncGenerator<Uint8Array> {
      proxy.inject(whole, { kind: 'reset', direction: 'down', afterBytes: 0 });
      proxy.inject(look, refusal('503 Service Unavailable'), 1_000);
      yield Buffer.from('manifest');
    }
    await assert.rejects(store.put('m', armed(), { createOnly: true }), { kind: 'storage', message: /cannot look at/ });
    proxy.reset();
    assert.ok(await store.head('m'));
  });

  it('sees the object of another that appears while a large create-only body is on its way', async () => {
    const rival = await openStore(store.url, { gcs: { endpoint: double.endpoint } });
    async function* late(): AsyncGenerator<Uint8Array> {
      yield bytes;
      await rival.put('m', streamOf('theirs'));
    }
    await assert.rejects(store.put('m', late(), { createOnly: true }), { kind: 'conflict' });
    assert.equal((await readAll(rival.get('m'))).toString(), 'theirs');
    assert.deepEqual(double.unfinished, []);
    await rival[Symbol.asyncDispose]();
  });

  it('gives up in the end, and leaves no session and no object', async () => {
    proxy.inject(session, { kind: 'reset', direction: 'up', afterBytes: 300 }, 1_000);
    await assert.rejects(store.put('a', body()), {
      name: 'BackupError',
      kind: 'storage',
      message: /cannot store "a" in "gs:.*cannot reach the server/,
    });
    assert.deepEqual(double.unfinished, []);
    assert.deepEqual(await listAll(store.list('')), []);
  });

  it('leaves no session when it is interrupted while the upload begins', async () => {
    proxy.latencyMs = 30;
    const controller = new AbortController();
    const stalling = stallingAfter(bytes.subarray(0, 9 * mebibyte), () => {});
    const putting = store.put('a', stalling, { signal: controller.signal });
    while (!proxy.requests.some((request) => beginning.test(request))) await sleep(1);
    controller.abort(new Error('interrupted'));
    await assert.rejects(putting, /interrupted/);
    assert.deepEqual(double.unfinished, []);
  });

  for (const cut of [0, 1, 300, 3 * mebibyte]) {
    it(`reads on at the exact byte when answers are cut after ${cut} bytes`, async () => {
      await store.put('a', body());
      proxy.inject(download, { kind: 'reset', direction: 'down', afterBytes: cut }, 4);
      await assertStoredWhole('a');
    });
  }

  it('reads on when an answer stalls', async () => {
    await store.put('a', body());
    proxy.inject(download, { kind: 'stall', direction: 'down', afterBytes: mebibyte }, 2);
    await assertStoredWhole('a');
  });

  it('fails with integrity when the object is replaced, or deleted, before its last ranges are asked for', async () => {
    for (const disturb of [
      async () => await store.put('a', streamOf('other')),
      async () => await store.delete(['a']),
    ] as const) {
      await store.put('a', body());
      const reading = store.get('a')[Symbol.asyncIterator]();
      await reading.next();
      await disturb();
      const readRest = async (): Promise<void> => {
        while ((await reading.next()).done !== true);
      };
      await assert.rejects(readRest, { kind: 'integrity', message: /has changed/ });
    }
  });

  it('fails with integrity for the version of another vendor', async () => {
    await store.put('a', streamOf('x'));
    await assert.rejects(readAll(store.get('a', { version: '"an-etag"' })), { kind: 'integrity' });
  });

  it('says that the server gives no answer, or cannot be reached', async () => {
    proxy.inject(/./, { kind: 'stall', direction: 'down', afterBytes: 0 }, 1_000);
    await assert.rejects(store.head('a'), { kind: 'storage', message: /no answer in time/, hint: /endpoint/ });
    await proxy.suspend();
    const expected = { kind: 'storage', message: /cannot reach the server: .*ECONNREFUSED/ };
    await assert.rejects(store.put('a', streamOf('x')), expected);
    await assert.rejects(readAll(store.get('a')), expected);
    await assert.rejects(listAll(store.list('')), expected);
    await assert.rejects(store.delete(['a', 'b']), expected);
  });

  it('lists and deletes more objects than fit one page or go at once', async () => {
    double.pageSize = 7;
    const keys = Array.from({ length: 40 }, (_, index) => `many/${index}`);
    for (const key of keys) await store.put(key, streamOf(key));
    const listed = (await listAll(store.list('many/'))).map(({ key }) => key);
    assert.deepEqual(listed.toSorted(), keys.toSorted());
    await store.delete(keys);
    assert.deepEqual(await listAll(store.list('')), []);
  });
});
