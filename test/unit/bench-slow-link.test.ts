import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { burstMs, Pace, SlowLink, type Clock, type LinkLimits } from '../../bench/slow-link.ts';
import { randomLookingBytes } from '../support/test-bytes.ts';

describe('Pace', () => {
  it('lets through what the rate allows and no more, however the bytes are cut', () => {
    for (const chunkBytes of [100, 8192, 65_536]) {
      const pace = new Pace(1_000_000);
      let nowMs = 0;
      let passed = 0;
      for (; nowMs < 10_000; passed += chunkBytes) nowMs += pace.delayOf(chunkBytes, nowMs);
      assert.ok(passed >= 10_000_000, `${passed} bytes in ten seconds`);
      assert.ok(passed <= 10_000_000 + burstMs * 1000 + chunkBytes, `${passed} bytes in ten seconds`);
    }
  });

  it('keeps the rate although every pause is too long', () => {
    const pace = new Pace(1_000_000);
    let nowMs = 0;
    let passed = 0;
    for (; nowMs < 10_000; passed += 8192) {
      const delayMs = pace.delayOf(8192, nowMs);
      nowMs += delayMs >= 1 ? delayMs + 3 : 0;
    }
    assert.ok(passed >= 9_900_000, `${passed} bytes in ten seconds`);
  });

  it('saves no more than one burst during a pause', () => {
    const pace = new Pace(1_000_000);
    assert.equal(pace.delayOf(0, 0), 0);
    assert.equal(pace.delayOf(burstMs * 1000, 60_000), 0);
    assert.equal(pace.delayOf(7000, 60_000), 7);
  });
});

describe('slow link', () => {
  const body = randomLookingBytes(400_000);
  const limits: LinkLimits = { latencyMs: 30, bytesPerSecond: 1_000_000 };
  let echo: Server;
  before(async () => {
    echo = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket)).listen(0, '127.0.0.1');
    await once(echo, 'listening');
  });
  after(() => echo.close());

  async function open(clock?: Clock): Promise<SlowLink> {
    return await SlowLink.start((echo.address() as AddressInfo).port, limits, clock);
  }

  async function send(link: SlowLink): Promise<Buffer> {
    const socket = connect({ port: link.port, host: '127.0.0.1', allowHalfOpen: true });
    socket.end(body);
    return await buffer(socket);
  }

  it('passes everything on in both directions, no sooner than rate and latency allow', async () => {
    await using link = await open();
    const startedAt = performance.now();
    assert.ok((await send(link)).equals(body));
    assert.ok(performance.now() - startedAt >= 400 - burstMs + 29);
  });

  it('gives every connection and direction the whole rate, and half of the latency to every way', async () => {
    const slept: number[] = [];
    const sleep = async (ms: number): Promise<void> => {
      slept.push(ms);
      await Promise.resolve();
    };
    // The clock stands still: every wait is that of all bytes of its direction so far.
    await using link = await open({ now: () => 0, sleep });
    await Promise.all([send(link), send(link)]);
    const whole = body.byteLength / 1000 - burstMs;
    assert.deepEqual(slept.filter((ms) => Math.abs(ms - whole) < 0.001).length, 4);
    assert.equal(Math.max(...slept).toFixed(3), whole.toFixed(3));
    assert.ok(slept.filter((ms) => ms === 15).length >= 4);
  });

  it('ends the other end of a connection that is cut', async () => {
    await using link = await open();
    const socket = connect(link.port, '127.0.0.1');
    const [server] = await Promise.all([once(echo, 'connection'), once(socket, 'connect')]);
    const closed = once(server[0], 'close');
    socket.resetAndDestroy();
    await closed;
    assert.equal(server[0].destroyed, true);
  });

  it('refuses a connection when nobody listens behind it', async () => {
    await using link = await SlowLink.start(1, limits);
    const socket = connect(link.port, '127.0.0.1');
    socket.on('error', () => {});
    await once(socket, 'close');
    assert.equal(socket.bytesRead, 0);
  });
});
