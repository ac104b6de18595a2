import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BackupError } from '../../src/core/backup-error.ts';
import type { ByteStream } from '../../src/core/byte-stream.ts';
import type { ByteRange } from '../../src/storage/byte-range.ts';
import { readRanges, type RangeAnswer, type RangeSource } from '../../src/storage/ranged-read.ts';
import { randomLookingBytes, readAll } from '../support/test-bytes.ts';

const object = randomLookingBytes(10_000);
const options = {
  name: '"a" in "test:"',
  rangeBytes: 1_000,
  maxRangesInFlight: 3,
  retry: { policy: { attempts: 3, firstDelayMs: 1, maxDelayMs: 1 }, isTransient: () => false },
};

/** Serves `object`; `cutAfter` says how many bytes of an answer come before its connection breaks. */
class TestSource implements RangeSource {
  readonly opened: ByteRange[] = [];
  openAnswers = 0;
  maxOpen = 0;
  readonly #cutAfter: (call: number) => number;

  constructor(cutAfter: (call: number) => number = () => Number.POSITIVE_INFINITY) {
    this.#cutAfter = cutAfter;
  }

  async open(range: ByteRange): Promise<RangeAnswer | null> {
    this.opened.push(range);
    const bytes = object.subarray(range.start, range.end);
    if (bytes.byteLength === 0) return null;
    return { body: this.#serve(bytes, this.#cutAfter(this.opened.length)), objectBytes: 10_000, contentTag: '"tag"' };
  }

  async *#serve(bytes: Buffer, cutAfter: number): ByteStream {
    this.openAnswers += 1;
    this.maxOpen = Math.max(this.maxOpen, this.openAnswers);
    try {
      for (let start = 0; start < bytes.byteLength; start += 100) {
        if (start >= cutAfter) throw new Error('connection reset');
        await new Promise(setImmediate);
        yield bytes.subarray(start, start + 100);
      }
    } finally {
      this.openAnswers -= 1;
    }
  }
}

describe('readRanges', () => {
  it('reads several ranges at a time, and gives them in order', async () => {
    const source = new TestSource();
    assert.ok((await readAll(readRanges(source, options))).equals(object));
    assert.equal(source.maxOpen, 3);
    assert.equal(source.opened.length, 10);
  });

  it('asks for small objects once', async () => {
    const source = new TestSource();
    assert.equal((await readAll(readRanges(source, { ...options, start: 9_500 }))).byteLength, 500);
    assert.deepEqual(source.opened, [{ start: 9_500, end: 10_500 }]);
  });

  it('goes on at the exact byte, for as long as something comes', async () => {
    const source = new TestSource(() => 100);
    assert.ok((await readAll(readRanges(source, options))).equals(object));
    assert.equal(source.opened.length, 100);
    for (const { start } of source.opened) assert.equal(start % 100, 0);
  });

  it('gives up when nothing comes any more', async () => {
    const source = new TestSource((call) => (call === 1 ? 300 : 0));
    await assert.rejects(readAll(readRanges(source, options)), {
      kind: 'storage',
      message: 'cannot read "a" in "test:": the connection was cut again and again',
    });
    const attempts = source.opened.filter(({ start }) => start === 300).length;
    assert.equal(attempts, 3);
  });

  it('does not repeat a failure that is for good', async () => {
    const source = new TestSource();
    source.open = async () => {
      throw new BackupError('notFound', 'gone');
    };
    await assert.rejects(readAll(readRanges(source, options)), { kind: 'notFound' });
  });

  it('fails with integrity when the object becomes shorter', async () => {
    const source = new TestSource();
    const open = source.open.bind(source);
    source.open = async (range) => (range.start >= 5_000 ? null : await open(range));
    await assert.rejects(readAll(readRanges(source, options)), { kind: 'integrity', message: /became shorter/ });
  });

  it('stops the ranges under way when the reader leaves', async () => {
    const signals: AbortSignal[] = [];
    const source = new TestSource();
    const pinned: RangeSource = {
      open: async (range, _pin, signal) => {
        signals.push(signal);
        return await source.open(range);
      },
    };
    for await (const _bytes of readRanges(pinned, options)) break;
    assert.ok(signals.every((signal) => signal.aborted));
  });

  it('pins later ranges to what the first one found', async () => {
    const pins: (string | undefined)[] = [];
    const source = new TestSource();
    const pinned: RangeSource = {
      open: async (range, pin) => {
        pins.push(pin);
        return await source.open(range);
      },
    };
    await readAll(readRanges(pinned, options));
    assert.deepEqual(new Set(pins.slice(1)), new Set(['"tag"']));
    assert.equal(pins[0], undefined);
  });
});
