import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createGunzip, gzipSync } from 'node:zlib';
import { collect, type ByteStream } from '../../src/core/byte-stream.ts';
import { throughTransform } from '../../src/pipeline/through-transform.ts';
import { sample } from '../support/compressed-bytes.ts';

const plain = sample(3_000_000);
const packed = gzipSync(plain);
const gunzip = throughTransform(() => createGunzip());

/** All in one buffer that is overwritten as soon as the next chunk is asked for. */
async function* reusing(bytes: Buffer, onRelease: () => void = () => {}): ByteStream {
  const buffer = Buffer.alloc(1000);
  try {
    for (let start = 0; start < bytes.byteLength; start += buffer.byteLength) {
      const size = bytes.copy(buffer, 0, start);
      yield buffer.subarray(0, size);
      buffer.fill(0);
    }
  } finally {
    onRelease();
  }
}

describe('a Node stream as a stage', () => {
  it('is done with a chunk before it asks for the next', async () => {
    assert.deepEqual(await collect(gunzip(reusing(packed)), Infinity), plain);
  });

  it('gives the error of its source', async () => {
    const failing = async function* (): ByteStream {
      yield* reusing(packed.subarray(0, 5000));
      throw new Error('the source broke');
    };
    await assert.rejects(collect(gunzip(failing()), Infinity), /the source broke/);
  });

  it('gives its own error, and releases its source', async () => {
    const released = Promise.withResolvers<void>();
    // The first block of the deflated data is of a type that there is not.
    const damaged = Buffer.from(packed).fill(0xff, 10, 11);
    await assert.rejects(collect(gunzip(reusing(damaged, released.resolve)), Infinity), { code: 'Z_DATA_ERROR' });
    await released.promise;
  });

  it('releases its source when the consumer leaves', async () => {
    const released = Promise.withResolvers<void>();
    for await (const _ of gunzip(reusing(packed, released.resolve))) break;
    await released.promise;
  });
});
