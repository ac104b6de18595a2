import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as tick } from 'node:timers/promises';
import type { ByteStream } from '../../src/core/byte-stream.ts';
import {
  uploadInParts,
  type Part,
  type PartTarget,
  type PartUpload,
  type PartUploadOptions,
} from '../../src/storage/multipart.ts';
import { s3PartLimits } from '../../src/storage/part-size.ts';
import { inReusedChunks, randomLookingBytes, sha256, stallingAfter } from '../support/test-bytes.ts';

const mebibyte = 1024 * 1024;
const options: PartUploadOptions = { limits: s3PartLimits, memoryBytes: 128 * mebibyte, maxPartsInFlight: 8 };

/** Keeps the parts it gets, answers them late and out of order, and counts. */
class SlowTarget implements PartTarget<Buffer>, PartUpload<Buffer> {
  readonly action = 'store "s3://b/k"';
  readonly events: string[] = [];
  readonly parts = new Map<number, Buffer>();
  acknowledgedBytes = 0;
  inFlight = 0;
  maxInFlight = 0;
  /** What to do before a part is kept. */
  onPart: (part: Part, signal: AbortSignal) => Promise<void> = async () => {};

  async putWhole(bytes: Buffer): Promise<Buffer> {
    this.events.push('whole');
    return Buffer.from(bytes);
  }

  async begin(): Promise<this> {
    this.events.push('begin');
    return this;
  }

  async sendPart(part: Part, signal: AbortSignal): Promise<void> {
    this.inFlight += 1;
    this.maxInFlight = Math.max(this.maxInFlight, this.inFlight);
    try {
      for (let turn = 0; turn < 5 + (part.number % 3) * 5; turn++) await tick();
      await this.onPart(part, signal);
      this.parts.set(part.number, Buffer.from(part.bytes));
      this.acknowledgedBytes += part.bytes.byteLength;
    } finally {
      this.inFlight -= 1;
    }
  }

  async complete(): Promise<Buffer> {
    this.events.push('complete');
    return Buffer.concat([...this.parts].toSorted(([a], [b]) => a - b).map(([, bytes]) => bytes));
  }

  async abort(): Promise<void> {
    assert.equal(this.inFlight, 0, 'a part was still on its way');
    this.events.push('abort');
  }
}

describe('uploadInParts', () => {
  for (const size of [0, 1, 8 * mebibyte - 1, 8 * mebibyte, 8 * mebibyte + 1, 16 * mebibyte, 100 * mebibyte + 3]) {
    it(`stores ${size} bytes as they were`, async () => {
      const target = new SlowTarget();
      const bytes = randomLookingBytes(size);
      const stored = await uploadInParts(inReusedChunks(bytes, [1, 70_001, 9 * mebibyte]), target, options);
      assert.equal(sha256(stored), sha256(bytes));
      assert.deepEqual(target.events, size < 8 * mebibyte ? ['whole'] : ['begin', 'complete']);
    });
  }

  for (const memoryMebibytes of [8, 16, 40, 128]) {
    it(`never holds more than ${memoryMebibytes} MiB that are not acknowledged, beside the chunk at hand`, async () => {
      const target = new SlowTarget();
      const memoryBytes = memoryMebibytes * mebibyte;
      const chunk = Buffer.alloc(64 * 1024);
      let takenBytes = 0;
      let maxHeldBytes = 0;
      async function* counted(): ByteStream {
        for (let count = 0; count < 4_000; count++) {
          takenBytes += chunk.byteLength;
          maxHeldBytes = Math.max(maxHeldBytes, takenBytes - target.acknowledgedBytes);
          yield chunk;
        }
      }
      await uploadInParts(counted(), target, { ...options, memoryBytes });
      assert.ok(maxHeldBytes <= memoryBytes + chunk.byteLength, `${maxHeldBytes} bytes were held`);
      assert.equal(target.maxInFlight, Math.min(8, Math.max(1, memoryMebibytes / 8)));
    });
  }

  it('sends parts one by one when only larger ones than the memory allowed let the object fit', async () => {
    const target = new SlowTarget();
    const limits = { ...s3PartLimits, maxParts: 8 };
    const body = inReusedChunks(randomLookingBytes(90 * mebibyte), [mebibyte]);
    await uploadInParts(body, target, { ...options, limits, memoryBytes: 8 * mebibyte });
    assert.deepEqual(
      [...target.parts].toSorted(([a], [b]) => a - b).map(([, part]) => part.byteLength / mebibyte),
      [8, 8, 8, 8, 8, 8, 16, 26],
    );
  });

  it('keeps within the memory, however large the object is expected to be', async () => {
    const target = new SlowTarget();
    const body = inReusedChunks(Buffer.alloc(70 * mebibyte), [mebibyte]);
    await uploadInParts(body, target, { ...options, memoryBytes: 32 * mebibyte, expectedSizeBytes: 2 ** 42 });
    assert.equal(target.maxInFlight, 2);
    assert.deepEqual(
      [...target.parts].toSorted(([a], [b]) => a - b).map(([, part]) => part.byteLength / mebibyte),
      [16, 16, 16, 16, 6],
    );
  });

  it('throws the first failure of a part at once, although the body has stalled, after aborting the others', async () => {
    const target = new SlowTarget();
    const failure = new Error('part refused');
    let cutOff = 0;
    target.onPart = async ({ number }, signal) => {
      if (number === 2) throw failure;
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      cutOff += 1;
      throw new Error('cut off');
    };
    const body = stallingAfter(Buffer.alloc(30 * mebibyte), () => {});
    await assert.rejects(uploadInParts(body, target, options), (error) => error === failure);
    assert.deepEqual(target.events, ['begin', 'abort']);
    assert.equal(cutOff, 2);
  });

  it('throws the failure of the body, not of an abort that fails too', async () => {
    const target = new SlowTarget();
    target.abort = async () => {
      throw new Error('abort failed');
    };
    const failure = new Error('pg_dump died');
    async function* body(): ByteStream {
      yield Buffer.alloc(20 * mebibyte);
      throw failure;
    }
    await assert.rejects(uploadInParts(body(), target, options), (error) => error === failure);
  });

  it('aborts when completing fails', async () => {
    const target = new SlowTarget();
    target.complete = async () => {
      throw new Error('not accepted');
    };
    const body = inReusedChunks(Buffer.alloc(20 * mebibyte), [mebibyte]);
    await assert.rejects(uploadInParts(body, target, options), /not accepted/);
    assert.deepEqual(target.events, ['begin', 'abort']);
  });

  it('lets the body clean up when a part fails', async () => {
    const target = new SlowTarget();
    target.onPart = async () => {
      throw new Error('part refused');
    };
    let isCleanedUp = false;
    async function* body(): ByteStream {
      try {
        for (;;) yield Buffer.alloc(mebibyte);
      } finally {
        isCleanedUp = true;
      }
    }
    await assert.rejects(uploadInParts(body(), target, options), /part refused/);
    await tick();
    assert.ok(isCleanedUp);
  });

  it('refuses more parts than the store takes', async () => {
    const target = new SlowTarget();
    const limits = { maxParts: 3, maxPartBytes: 8 * mebibyte, maxObjectBytes: 24 * mebibyte };
    const body = inReusedChunks(Buffer.alloc(25 * mebibyte), [mebibyte]);
    await assert.rejects(uploadInParts(body, target, { ...options, limits }), {
      kind: 'storage',
      message: 'cannot store "s3://b/k": more than 25165824 bytes in 3 parts are too many for it',
      hint: /--jobs.*--upload-memory/,
    });
    assert.deepEqual(target.events, ['begin', 'abort']);
  });
});
