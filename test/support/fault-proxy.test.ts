import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { CannedHttp } from './canned-http.ts';
import { FaultProxy, refusal, type Fault } from './fault-proxy.ts';
import { HttpPassage } from './http-passage.ts';
import { randomLookingBytes } from './test-bytes.ts';

const body = randomLookingBytes(300_001);

describe('fault proxy', () => {
  let server: CannedHttp;
  let proxy: FaultProxy;
  before(async () => {
    server = await CannedHttp.start(() => ({ status: 200, headers: { 'x-served': 'yes' }, body }));
    proxy = await FaultProxy.start(Number(new URL(server.endpoint).port));
  });
  afterEach(() => {
    proxy.reset();
    server.requests.length = 0;
  });
  after(async () => {
    await proxy[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  /** Waits for an answer no longer than a test that hangs should take, or than one that is meant to. */
  async function send(path: string, method = 'POST', timeoutMs = 10_000): Promise<{ status: number; body: Buffer }> {
    const request = { method, signal: AbortSignal.timeout(timeoutMs), ...(method === 'POST' && { body }) };
    const answer = await fetch(proxy.endpoint + path, request);
    return { status: answer.status, body: Buffer.from(await answer.arrayBuffer()) };
  }

  function changedBits(bytes: Buffer): number[] {
    return bytes.reduce<number[]>((places, byte, index) => (byte === body[index] ? places : [...places, index]), []);
  }

  it('passes everything on', async () => {
    const answer = await send('/a');
    assert.equal(answer.status, 200);
    assert.ok(answer.body.equals(body));
    assert.ok(server.requests[0]?.body.equals(body));
    assert.match(proxy.requests.at(-1) ?? '', /^POST \/a HTTP\/1\.1$/);
  });

  it('lets exactly the call at a position fail', async () => {
    await send('/before');
    proxy.injectAt(2, refusal('503 Slow Down', { 'Retry-After': '1' }));
    const statuses = [];
    for (const path of ['/1', '/2', '/3']) statuses.push((await send(path)).status);
    assert.deepEqual(statuses, [200, 503, 200]);
    assert.deepEqual(
      server.requests.map(({ path }) => path),
      ['/before', '/1', '/3'],
    );
    assert.equal(proxy.happenedFaults, 1);
  });

  const lost: Readonly<Record<string, { fault: Fault; served: number }>> = {
    'closes the connection at once': { fault: { kind: 'reset', direction: 'up', afterBytes: 0 }, served: 0 },
    'cuts a request in its head': { fault: { kind: 'reset', direction: 'up', afterBytes: 20 }, served: 0 },
    'cuts a request in its body': { fault: { kind: 'reset', direction: 'up', afterBytes: 'mid-body' }, served: 0 },
    'loses the answer to a request that was served': {
      fault: { kind: 'reset', direction: 'down', afterBytes: 0 },
      served: 1,
    },
    'cuts an answer in its body': { fault: { kind: 'reset', direction: 'down', afterBytes: 'mid-body' }, served: 1 },
    'keeps a request and says nothing': { fault: { kind: 'stall', direction: 'up', afterBytes: 0 }, served: 0 },
    'keeps an answer and says nothing': { fault: { kind: 'stall', direction: 'down', afterBytes: 0 }, served: 1 },
  };
  for (const [name, { fault, served }] of Object.entries(lost)) {
    it(name, async () => {
      proxy.injectAt(1, fault);
      const isStall = fault.kind === 'stall';
      await assert.rejects(
        send('/a', 'POST', isStall ? 300 : undefined),
        isStall ? { name: 'TimeoutError' } : TypeError,
      );
      assert.equal(server.requests.length, served);
      assert.equal(proxy.happenedFaults, 1);
      assert.equal((await send('/b')).status, 200);
    });
  }

  it('changes one bit of an answer', async () => {
    proxy.injectAt(1, { kind: 'flip', direction: 'down', atByte: 'mid-body' });
    assert.deepEqual(changedBits((await send('/a')).body), [150_000]);
  });

  it('changes one bit of a request', async () => {
    proxy.injectAt(1, { kind: 'flip', direction: 'up', atByte: 'mid-body' });
    await send('/a');
    assert.deepEqual(changedBits(server.requests[0]?.body ?? Buffer.alloc(0)), [150_000]);
  });

  for (const [direction, method] of [
    ['up', 'GET'],
    ['down', 'HEAD'],
  ] as const) {
    it(`leaves a ${method} alone when the fault is to hit the body that it does not have`, async () => {
      proxy.injectAt(1, { kind: 'reset', direction, afterBytes: 'mid-body' });
      assert.equal((await send('/a', method)).status, 200);
      assert.equal(proxy.happenedFaults, 0);
      assert.equal(proxy.pendingFaults, 0);
    });
  }

  it('delays every request once, however large it is', async () => {
    proxy.latencyMs = 60;
    const before = performance.now();
    await send('/a');
    proxy.latencyMs = 0;
    assert.ok(performance.now() - before >= 59);
  });

  it('passes no more bytes than its rate allows', async () => {
    proxy.bytesPerSecond = 6_000_000;
    const before = performance.now();
    await send('/a');
    proxy.bytesPerSecond = Number.POSITIVE_INFINITY;
    assert.ok(performance.now() - before >= 90, 'two bodies of 0.3 MB take a tenth of a second');
  });

  it('refuses connections while it is suspended', async () => {
    await proxy.suspend();
    await assert.rejects(send('/a')); // perhaps by a connection that was there before
    await assert.rejects(send('/a'), (error: Error) => /ECONNREFUSED/.test(String(error.cause)));
    await proxy.resume();
    assert.equal((await send('/a')).status, 200);
  });
});

describe('HttpPassage', () => {
  const messages: Readonly<Record<string, { text: string; middle: number | null }>> = {
    'a body of known length': { text: 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd', middle: 40 },
    'a chunked body': {
      text: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n',
      middle: 52,
    },
    'an empty chunked body': { text: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', middle: null },
    'no body': { text: 'HTTP/1.1 204 No Content\r\nA: b\r\n\r\n', middle: null },
  };
  for (const [name, { text, middle }] of Object.entries(messages)) {
    it(`finds the middle of ${name}, in one piece and byte by byte`, () => {
      const bytes = Buffer.from(text);
      for (const size of [bytes.byteLength, 1]) {
        const passage = new HttpPassage(true);
        for (let start = 0; start < bytes.byteLength; start += size) passage.take(bytes.subarray(start, start + size));
        assert.equal(passage.locate('mid-body'), middle);
        assert.equal(passage.passedBytes, bytes.byteLength);
      }
      if (middle !== null) assert.equal(text[middle], 'c');
    });
  }
});
