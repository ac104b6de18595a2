import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { setImmediate as tick } from 'node:timers/promises';
import { runSideBySide } from '../../src/pipeline/run-side-by-side.ts';

type Task<Result> = (signal: AbortSignal) => Promise<Result>;

const neverAborted = new AbortController().signal;

async function ticks(count: number): Promise<void> {
  for (let left = count; left > 0; left -= 1) await tick();
}

describe('running tasks side by side', () => {
  it('gives the results in the order of the tasks, whichever ends first', async () => {
    const tasks = [9, 1, 5, 0, 3].map((count) => async () => {
      await ticks(count);
      return count;
    });
    assert.deepEqual(await runSideBySide(tasks, { jobs: 3, signal: neverAborted }), [9, 1, 5, 0, 3]);
    assert.deepEqual(await runSideBySide<number>([], { jobs: 3, signal: neverAborted }), []);
  });

  for (const jobs of [1, 2, 4, 20]) {
    it(`begins them in their order, ${jobs} at a time`, async () => {
      const begun: number[] = [];
      let running = 0;
      let most = 0;
      const tasks = Array.from({ length: 10 }, (_, index) => async () => {
        begun.push(index);
        running += 1;
        most = Math.max(most, running);
        await ticks((index * 7) % 5);
        running -= 1;
      });
      await runSideBySide(tasks, { jobs, signal: neverAborted });
      assert.deepEqual(begun, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
      assert.equal(most, Math.min(jobs, 10));
    });
  }

  it('keeps all jobs busy: a free one takes the next task at once', async () => {
    const begun: number[] = [];
    const blocked = Promise.withResolvers<void>();
    const tasks: Task<void>[] = [0, 1, 2, 3].map((index) => async () => {
      begun.push(index);
      if (index === 0) await blocked.promise;
      if (index === 3) blocked.resolve();
    });
    await runSideBySide(tasks, { jobs: 2, signal: neverAborted });
    assert.deepEqual(begun, [0, 1, 2, 3]);
  });

  it('ends the others on the first failure, begins no further task, and waits for all', async () => {
    const events: string[] = [];
    const tasks: Task<void>[] = [
      async (signal) => {
        if (!signal.aborted) await once(signal, 'abort');
        await ticks(5);
        events.push('the first has ended');
        throw new Error('what the failure caused');
      },
      async () => {
        await ticks(2);
        throw new Error('the failure');
      },
      async () => void events.push('the third has begun'),
    ];
    await assert.rejects(runSideBySide(tasks, { jobs: 2, signal: neverAborted }), { message: 'the failure' });
    assert.deepEqual(events, ['the first has ended']);
  });

  it('fails with a failure that is no promise', async () => {
    const tasks = [
      () => {
        throw new Error('at once');
      },
    ];
    await assert.rejects(runSideBySide(tasks, { jobs: 2, signal: neverAborted }), { message: 'at once' });
  });

  it('puts an interruption before what it caused', async () => {
    const controller = new AbortController();
    const tasks: Task<void>[] = [0, 1, 2].map((index) => async (signal) => {
      if (index === 1) controller.abort(new Error('interrupted'));
      if (!signal.aborted) await once(signal, 'abort');
      throw new Error(`task ${index} was cut off`);
    });
    await assert.rejects(runSideBySide(tasks, { jobs: 2, signal: controller.signal }), { message: 'interrupted' });
  });

  it('begins nothing after an interruption', async () => {
    const signal = AbortSignal.abort(new Error('interrupted before'));
    let begun = 0;
    const task = async () => void (begun += 1);
    await assert.rejects(runSideBySide([task, task], { jobs: 2, signal }), { message: 'interrupted before' });
    assert.equal(begun, 0);
  });

  it('is a failure when an interruption comes after the last task has begun, though it ended well', async () => {
    const controller = new AbortController();
    const task = async () => controller.abort(new Error('interrupted'));
    await assert.rejects(runSideBySide([task], { jobs: 1, signal: controller.signal }), { message: 'interrupted' });
  });
});
