import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import * as fc from 'fast-check';
import { type ByteStream, collect, streamOf } from '../../src/core/byte-stream.ts';
import { ByteReader } from '../../src/core/byte-reader.ts';
import { readPacketBody, readPacketHeader, writePacket } from '../../src/crypto/openpgp-packets.ts';
import { chopped } from './openpgp-objects.ts';

const maxBytes = 1024 * 1024;

async function readPacket(source: ByteStream): Promise<{ tag: number; body: Buffer; rest: Buffer }> {
  const reader = new ByteReader(source);
  const header = await readPacketHeader(reader, 'test');
  assert.ok(header);
  const body = await collect(readPacketBody(reader, header, 'test'), maxBytes);
  return { tag: header.tag, body, rest: await collect(reader.rest(), maxBytes) };
}

const body = Buffer.from(Array.from({ length: 200_000 }, (_, index) => index % 251));

describe('writePacket', () => {
  it('writes what readPacket reads, for every kind of length', async () => {
    const sizes = [0, 1, 191, 192, 8383, 8384, 65_535, 65_536, 65_537, 131_072, 200_000];
    for (const size of sizes) {
      const packet = await collect(writePacket(11, streamOf(body.subarray(0, size))), maxBytes);
      const read = await readPacket(streamOf(packet, 'after'));
      assert.equal(read.tag, 11);
      assert.ok(read.body.equals(body.subarray(0, size)), `${size} bytes`);
      assert.equal(read.rest.toString(), 'after');
    }
  });

  it('writes a definite length where the body fits into one part', async () => {
    const headers = [
      [5, 'cb05'],
      [192, 'cbc000'],
      [8383, 'cbdfff'],
      [8384, 'cbff000020c0'],
    ] as const;
    for (const [size, header] of headers) {
      const packet = await collect(writePacket(11, streamOf(body.subarray(0, size))), maxBytes);
      assert.equal(packet.subarray(0, packet.byteLength - size).toString('hex'), header);
    }
  });

  it('cuts a longer body into parts of 64 KiB, whatever chunks it comes in', async () => {
    const whole = await collect(writePacket(18, streamOf(body)), maxBytes);
    assert.equal(whole.subarray(0, 2).toString('hex'), 'd2f0');
    assert.equal(whole[2 + 65_536], 0xf0);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 100_000 }), async (chunkBytes) => {
        assert.ok(whole.equals(await collect(writePacket(18, chopped(body, chunkBytes)), maxBytes)));
      }),
      { numRuns: 20 },
    );
  });
});

describe('readPacketBody', () => {
  const oldFormat = [
    ['one octet', Buffer.of(0xac, 3)],
    ['two octets', Buffer.of(0xad, 0, 3)],
    ['four octets', Buffer.of(0xae, 0, 0, 0, 3)],
  ] as const;
  for (const [name, header] of oldFormat) {
    it(`reads an old-format length of ${name}`, async () => {
      const read = await readPacket(streamOf(header, 'abcdef'));
      assert.deepEqual({ ...read }, { tag: 11, body: Buffer.from('abc'), rest: Buffer.from('def') });
    });
  }

  it('reads an old-format packet of indeterminate length to the end', async () => {
    const read = await readPacket(streamOf(Buffer.of(0xaf), 'abc', 'def'));
    assert.deepEqual({ ...read }, { tag: 11, body: Buffer.from('abcdef'), rest: Buffer.alloc(0) });
  });

  it('refuses every truncation', async () => {
    const packet = Buffer.concat([
      Buffer.of(0xcb, 0xe3),
      Buffer.from('12345678'),
      Buffer.of(0xc0, 0),
      body.subarray(0, 192),
    ]);
    assert.equal((await readPacket(streamOf(packet))).body.byteLength, 200);
    for (let size = 1; size < packet.byteLength; size += 1) {
      await assert.rejects(readPacket(streamOf(packet.subarray(0, size))), {
        kind: 'integrity',
        message: /is truncated/,
      });
    }
  });

  it('refuses bytes that begin no packet', async () => {
    await assert.rejects(readPacket(streamOf('plain text')), { kind: 'integrity', message: /no packet/ });
  });
});

describe('ByteReader', () => {
  it('gives the same bytes whatever the chunks are', async () => {
    const reader = new ByteReader(chopped(body.subarray(0, 1000), 7));
    assert.deepEqual(await reader.peek(20), body.subarray(0, 20));
    assert.deepEqual(await reader.read(100), body.subarray(0, 100));
    assert.equal(await reader.readByte(), body[100]);
    assert.deepEqual(await collect(reader.rest(), maxBytes), body.subarray(101, 1000));
    assert.equal(await reader.readByte(), null);
    assert.ok(await reader.isAtEnd());
  });

  it('releases its source once, and not a source that is over', async () => {
    let released = 0;
    async function* source(): ByteStream {
      try {
        yield body.subarray(0, 10);
        await setImmediate();
        yield body.subarray(10, 20);
      } finally {
        released += 1;
      }
    }
    const left = new ByteReader(source());
    await left.readByte();
    await left.close();
    await left.close();
    assert.equal(released, 1);
    assert.equal(await left.readByte(), null);
    const finished = new ByteReader(source());
    await collect(finished.rest(), maxBytes);
    await finished.close();
    assert.equal(released, 2);
  });
});
