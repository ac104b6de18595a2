import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { array, assert as assertProperty, asyncProperty, nat, uint8Array } from 'fast-check';
import { collect, streamOf } from '../../src/core/byte-stream.ts';
import type { ByteStream } from '../../src/core/byte-stream.ts';
import { ciphertextSize, decryptSegments, encryptSegments } from '../../src/crypto/aes-segments.ts';

// Small segments reach every boundary quickly; the container fixes 1 MiB, and its own tests use that.
const segmentBytes = 128;
const firstPlainBytes = segmentBytes - 40 - 16;
const otherPlainBytes = segmentBytes - 16;
const keys = { key: randomBytes(32), associatedData: Buffer.from('librelog-backup/v1/id/name'), segmentBytes };

async function encrypt(source: ByteStream): Promise<Buffer> {
  return await collect(encryptSegments(source, keys), 1e6);
}

async function decrypt(source: ByteStream, by = keys): Promise<Buffer> {
  return await collect(decryptSegments(source, by, 'object "x"'), 1e6);
}

/** Bytes cut at the places given, empty pieces included. */
function cutAt(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const places = [0, ...cuts.map((cut) => cut % (bytes.byteLength + 1)), bytes.byteLength].toSorted((a, b) => a - b);
  return places.slice(1).map((end, index) => bytes.subarray(places[index], end));
}

/** The segments of a ciphertext, the first one with the header. */
function segmentsOf(ciphertext: Buffer): Buffer[] {
  const count = Math.ceil(ciphertext.byteLength / segmentBytes);
  return Array.from({ length: count }, (_, index) =>
    ciphertext.subarray(index * segmentBytes, (index + 1) * segmentBytes),
  );
}

const boundaries = Array.from({ length: 5 }, (_, others) => firstPlainBytes + others * otherPlainBytes);

describe('AES-256 segments', () => {
  it('come back at every boundary, one byte less and one more, and have the computed size', async () => {
    for (const size of [0, 1, ...boundaries.flatMap((boundary) => [boundary - 1, boundary, boundary + 1])]) {
      const plaintext = randomBytes(size);
      const ciphertext = await encrypt(streamOf(plaintext));
      assert.equal(ciphertext.byteLength, ciphertextSize(size, segmentBytes), `${size} bytes`);
      assert.deepEqual(await decrypt(streamOf(ciphertext)), plaintext, `${size} bytes`);
    }
  });

  it('come back however both streams are cut', async () => {
    const cuts = array(nat(), { maxLength: 20 });
    await assertProperty(
      asyncProperty(uint8Array({ maxLength: 1000 }), cuts, cuts, async (plaintext, plainCuts, cipherCuts) => {
        const ciphertext = await encrypt(streamOf(...cutAt(plaintext, plainCuts)));
        assert.deepEqual(await decrypt(streamOf(...cutAt(ciphertext, cipherCuts))), Buffer.from(plaintext));
      }),
    );
  });

  it('are refused when cut at or around any boundary', async () => {
    const ciphertext = await encrypt(streamOf(randomBytes(600)));
    for (const length of ciphertext.keys()) {
      await assert.rejects(decrypt(streamOf(ciphertext.subarray(0, length))), { kind: 'integrity' }, `${length} bytes`);
    }
  });

  it('are refused in any other order, with any missing and with any repeated', async () => {
    const segments = segmentsOf(await encrypt(streamOf(randomBytes(700))));
    const arrangement = array(nat(segments.length - 1), { maxLength: segments.length + 2 });
    const isOriginal = (order: readonly number[]): boolean =>
      order.length === segments.length && order.every((place, index) => place === index);
    await assertProperty(
      asyncProperty(
        arrangement.filter((order) => !isOriginal(order)),
        async (order) => {
          const arranged = streamOf(...order.map((place) => segments[place] ?? Buffer.alloc(0)));
          await assert.rejects(decrypt(arranged), { kind: 'integrity' });
        },
      ),
      { numRuns: 300 },
    );
  });

  it('are refused with an empty segment at the end, which Tink never writes', async () => {
    const full = await encrypt(streamOf(randomBytes(firstPlainBytes)));
    await assert.rejects(decrypt(streamOf(full, Buffer.alloc(16))), { kind: 'integrity' });
  });

  it('are bound to key and associated data', async () => {
    const ciphertext = await encrypt(streamOf('bound'));
    const others = [
      { ...keys, key: randomBytes(32) },
      { ...keys, associatedData: Buffer.from('librelog-backup/v1/id/other') },
    ];
    for (const other of others) {
      await assert.rejects(decrypt(streamOf(ciphertext), other), { kind: 'integrity' });
    }
  });
});
