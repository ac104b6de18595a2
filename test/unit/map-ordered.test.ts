import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { mapOrdered } from '../../src/pipeline/map-ordered.ts';

async function* numbers(count: number, log: number[] = []): AsyncGenerator<number> {
  for (let n = 0; n < count; n += 1) {
    log.push(n);
    yield n;
  }
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  return await Array.fromAsync(items);
}

describe('mapOrdered', () => {
  it('gives results in the order of the items, whatever finishes first', async () => {
    const slowFirst = mapOrdered(numbers(6), 3, async (n) => {
      await sleep((6 - n) * 3);
      return n * 10;
    });
    assert.deepEqual(await all(slowFirst), [0, 10, 20, 30, 40, 50]);
  });

  it('never works on more items at once than allowed', async () => {
    let running = 0;
    let most = 0;
    const results = mapOrdered(numbers(20), 3, async (n) => {
      running += 1;
      most = Math.max(most, running);
      await sleep(1);
      running -= 1;
      return n;
    });
    assert.equal((await all(results)).length, 20);
    assert.equal(most, 3);
  });

  it('reads ahead while the consumer is busy, but not without bound', async () => {
    const log: number[] = [];
    const results = mapOrdered(numbers(100, log), 4, async (n) => n);
    await results.next();
    await sleep(20);
    assert.equal(log.length, 4);
    await results.return();
  });

  it('passes undefined on like any other result', async () => {
    assert.deepEqual(await all(mapOrdered(numbers(2), 2, async () => undefined)), [undefined, undefined]);
  });

  it('throws a failed work in its place, after the results before it', async () => {
    const seen: number[] = [];
    const results = mapOrdered(numbers(10), 4, async (n) => {
      if (n === 2) throw new Error('work 2');
      return n;
    });
    await assert.rejects(async () => {
      for await (const n of results) seen.push(n);
    }, /work 2/);
    assert.deepEqual(seen, [0, 1]);
  });

  it('throws the failure of the source after everything before it', async () => {
    async function* failing(): AsyncGenerator<number> {
      yield 1;
      throw new Error('source died');
    }
    const seen: number[] = [];
    await assert.rejects(async () => {
      for await (const n of mapOrdered(failing(), 4, async (n) => n)) seen.push(n);
    }, /source died/);
    assert.deepEqual(seen, [1]);
  });

  it('tells the source when the consumer stops early', async () => {
    let isReleased = false;
    async function* endless(): AsyncGenerator<number> {
      try {
        for (;;) yield 1;
      } finally {
        isReleased = true;
      }
    }
    for await (const n of mapOrdered(endless(), 2, async (n) => n)) if (n === 1) break;
    await sleep(5);
    assert.equal(isReleased, true);
  });

  it('does not wait for a source that hangs when the consumer stops', async () => {
    async function* hanging(): AsyncGenerator<number> {
      yield 1;
      await new Promise(() => {});
    }
    for await (const n of mapOrdered(hanging(), 2, async (n) => n)) if (n === 1) break;
  });
});
