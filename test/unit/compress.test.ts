import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BackupError } from '../../src/core/backup-error.ts';
import type { ByteStream } from '../../src/core/byte-stream.ts';
import { compressionFrameBytes, parseCompression } from '../../src/core/compression.ts';
import { compress } from '../../src/pipeline/compress.ts';
import { decompress } from '../../src/pipeline/decompress.ts';
import { digest, join, pack, sample, unpack } from '../support/compressed-bytes.ts';

const frame = compressionFrameBytes;

describe('compression', () => {
  for (const sizeBytes of [0, 1, 8192, frame - 1, frame, frame + 1, 3 * frame + 12_345]) {
    for (const method of ['zstd:1', 'zstd:3', 'gzip:1', 'none']) {
      it(`brings ${sizeBytes} bytes back through ${method}`, async () => {
        const bytes = sample(sizeBytes);
        const back = await unpack(await pack(bytes, method), parseCompression(method).method);
        assert.equal(digest(back), digest(bytes));
      });
    }
  }

  it('does not depend on how the input is chunked', async () => {
    const bytes = sample(frame + 777);
    assert.equal(digest(await pack(bytes, 'zstd:1', 8192)), digest(await pack(bytes, 'zstd:1', bytes.byteLength)));
  });

  it('copies what it is given: a producer may reuse its buffer', async () => {
    const reused = Buffer.alloc(1024 * 1024);
    async function* producer(): ByteStream {
      for (let n = 0; n < 9; n += 1) yield reused.fill(n);
    }
    const back = await unpack(await join(compress(parseCompression('zstd'), 2)(producer())));
    for (let n = 0; n < 9; n += 1) assert.equal(back[n * reused.byteLength + 5], n);
  });

  it('keeps every frame: Node alone stops after the first', async () => {
    const bytes = sample(5 * frame);
    assert.equal((await unpack(await pack(bytes))).byteLength, 5 * frame);
  });
});

describe('damaged compressed data', () => {
  const small = sample(5000);

  it('is refused at every truncation', async () => {
    const packed = await pack(small);
    for (let length = 1; length < packed.byteLength; length += 1) {
      await assert.rejects(unpack(packed.subarray(0, length)), { kind: 'integrity' }, `cut after ${length} bytes`);
    }
  });

  it('is refused, or harmless, at every flipped bit', async () => {
    const packed = await pack(small);
    for (let index = 0; index < packed.byteLength; index += 1) {
      const flipped = Buffer.from(packed);
      flipped.writeUInt8(flipped.readUInt8(index) ^ 0x10, index);
      const outcome = await unpack(flipped).catch((error: unknown) => error);
      if (outcome instanceof BackupError) assert.equal(outcome.kind, 'integrity');
      else assert.deepEqual(outcome, small, `byte ${index}`);
    }
  });

  it('is refused when it is not zstd at all, or followed by something else', async () => {
    await assert.rejects(unpack(Buffer.from('PGDMP, not zstd')), { kind: 'integrity' });
    await assert.rejects(unpack(Buffer.concat([await pack(small), Buffer.from('tail')])), { kind: 'integrity' });
  });

  it('is refused as cut gzip too', async () => {
    const packed = await pack(small, 'gzip');
    await assert.rejects(unpack(packed.subarray(0, packed.byteLength - 5), 'gzip'), { kind: 'integrity' });
  });

  it('does not hide what the source says', async () => {
    async function* dying(): ByteStream {
      yield (await pack(small)).subarray(0, 50);
      throw new BackupError('access', 'denied');
    }
    await assert.rejects(join(decompress('zstd', 2)(dying())), { kind: 'access' });
  });
});

describe('parseCompression', () => {
  it('takes methods with and without a level', () => {
    assert.deepEqual(parseCompression('zstd:3'), { method: 'zstd', level: 3, frameBytes: frame });
    assert.deepEqual(parseCompression('gzip'), { method: 'gzip', level: 6 });
    assert.deepEqual(parseCompression('none'), { method: 'none' });
  });

  for (const text of ['', 'lz4', 'zstd:99', 'gzip:0', 'none:1', 'zstd:', 'zstd:1x']) {
    it(`refuses "${text}"`, () => {
      assert.throws(() => parseCompression(text), { kind: 'usage' });
    });
  }
});
