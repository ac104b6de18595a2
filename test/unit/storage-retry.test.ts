import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { retryDelayMs, unlessDone, withRetries } from '../../src/core/retry.ts';
import { defaultTimings } from '../../src/storage/store-settings.ts';

const policy = { attempts: 4, firstDelayMs: 1, maxDelayMs: 3 };
const isTransient = (error: unknown): boolean => error instanceof Error && error.message.startsWith('transient');

describe('withRetries', () => {
  it('calls again after transient failures', async () => {
    let calls = 0;
    const operation = async (): Promise<number> => {
      calls += 1;
      if (calls < 4) throw new Error('transient');
      return calls;
    };
    assert.equal(await withRetries(operation, { policy, isTransient }), 4);
  });

  it('gives up after the last attempt, with its error', async () => {
    let calls = 0;
    const operation = async (): Promise<never> => {
      throw new Error(`transient ${(calls += 1)}`);
    };
    await assert.rejects(withRetries(operation, { policy, isTransient }), /transient 4/);
  });

  it('goes on for as long as the policy lasts, however soon every attempt fails', async () => {
    let calls = 0;
    const operation = async (): Promise<never> => {
      calls += 1;
      throw new Error('transient');
    };
    const before = performance.now();
    const lasting = { ...policy, attempts: 2, lastsMs: 200 };
    await assert.rejects(withRetries(operation, { policy: lasting, isTransient }), /transient/);
    assert.ok(performance.now() - before >= 200);
    assert.ok(calls > 2);
  });

  it('makes its attempts although each of them takes longer than the policy lasts', async () => {
    let calls = 0;
    const operation = async (): Promise<never> => {
      calls += 1;
      await sleep(5);
      throw new Error('transient');
    };
    const short = { ...policy, attempts: 4, lastsMs: 1 };
    await assert.rejects(withRetries(operation, { policy: short, isTransient }), /transient/);
    assert.equal(calls, 4);
  });

  it('bears a server that is away for minutes, where hours of work would be lost', () => {
    const { patientRetry, retry, idleTimeoutMs } = defaultTimings;
    const minuteMs = 60_000;
    assert.ok((patientRetry.lastsMs ?? 0) >= 3 * minuteMs);
    // A server that takes connections and says nothing must not be waited for much longer.
    assert.ok(patientRetry.attempts * idleTimeoutMs <= 5 * minuteMs);
    assert.equal(retry.lastsMs, undefined, 'a person may be waiting');
  });

  it('does not repeat what cannot help', async () => {
    let calls = 0;
    const operation = async (): Promise<never> => {
      calls += 1;
      throw new Error('denied');
    };
    await assert.rejects(withRetries(operation, { policy, isTransient }), /denied/);
    assert.equal(calls, 1);
  });

  it('stops waiting when the signal aborts, with its reason', async () => {
    const controller = new AbortController();
    const slow = { attempts: 9, firstDelayMs: 1e8, maxDelayMs: 1e8 };
    const operation = async (): Promise<never> => {
      setImmediate(() => controller.abort(new Error('interrupted')));
      throw new Error('transient');
    };
    await assert.rejects(
      withRetries(operation, { policy: slow, isTransient, signal: controller.signal }),
      /interrupted/,
    );
  });
});

describe('retryDelayMs', () => {
  const patient = { attempts: 10, firstDelayMs: 100, maxDelayMs: 1_000 };

  it('grows up to the longest delay, of which at least half is waited, with jitter', () => {
    for (const [attempt, ceiling] of [100, 200, 400, 800, 1_000, 1_000].entries()) {
      for (let sample = 0; sample < 50; sample++) {
        const delay = retryDelayMs(patient, attempt + 1);
        assert.ok(delay >= ceiling / 2 && delay <= ceiling);
      }
    }
  });

  it('heeds what the server asks for, within reason', () => {
    assert.equal(retryDelayMs(patient, 1, 5_000), 5_000);
    assert.equal(retryDelayMs(patient, 1, 86_400_000), 6_000);
  });
});

describe('unlessDone', () => {
  /** An operation whose first answer is lost. */
  function createOperation(): { readonly operation: () => Promise<number>; readonly calls: () => number } {
    let calls = 0;
    const operation = async (): Promise<number> => {
      calls += 1;
      if (calls === 1) throw new Error('transient');
      return calls;
    };
    return { operation, calls: () => calls };
  }

  it('takes what an earlier call came to instead of another call', async () => {
    const { operation, calls } = createOperation();
    assert.equal(
      await withRetries(
        unlessDone(operation, async () => 7),
        { policy, isTransient },
      ),
      7,
    );
    assert.equal(calls(), 1);
  });

  it('calls again where the earlier call was not carried out, and does not look before the first', async () => {
    const { operation } = createOperation();
    let looks = 0;
    const findOutcome = async (): Promise<undefined> => void (looks += 1);
    assert.equal(await withRetries(unlessDone(operation, findOutcome), { policy, isTransient }), 2);
    assert.equal(looks, 1);
  });

  it('fails where nobody can tell', async () => {
    const { operation, calls } = createOperation();
    const findOutcome = async (): Promise<never> => {
      throw new Error('denied');
    };
    await assert.rejects(withRetries(unlessDone(operation, findOutcome), { policy, isTransient }), /denied/);
    assert.equal(calls(), 1);
  });
});
