import { setTimeout as sleep } from 'node:timers/promises';

/** How often and how patiently a call is repeated. Delays double from the first to the longest. */
export interface RetryPolicy {
  /** Calls in all, the first one included: not more, unless the policy lasts longer. */
  readonly attempts: number;
  readonly firstDelayMs: number;
  readonly maxDelayMs: number;
  /** The calls go on until so much time has passed since the first failure. */
  readonly lastsMs?: number;
}

export interface RetryOptions {
  readonly policy: RetryPolicy;
  /** Whether calling again can help. */
  readonly isTransient: (error: unknown) => boolean;
  /** How long the server asked to be left alone (`Retry-After`), if it did. */
  readonly retryAfterMs?: (error: unknown) => number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Calls `operation` until it succeeds, fails for good, or the policy's attempts and time are used up, and then throws its
 * last error. An aborted signal ends it at once with the signal's reason. `operation` must bear being called again after a
 * call whose outcome is unknown.
 */
export async function withRetries<T>(operation: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { policy, signal } = options;
  const { attempts, lastsMs = 0 } = policy;
  let failingSince: number | undefined;
  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted();
    try {
      return await operation();
    } catch (error) {
      signal?.throwIfAborted();
      failingSince ??= performance.now();
      const isUsedUp = attempt >= attempts && performance.now() - failingSince >= lastsMs;
      if (isUsedUp || !options.isTransient(error)) throw error;
      const delayMs = retryDelayMs(policy, attempt, options.retryAfterMs?.(error));
      await abortableSleep(delayMs, signal);
    }
  }
}

/**
 * `operation`, for `withRetries`, where it must not be carried out twice: before it is called again, `findOutcome` looks
 * for what an earlier call came to whose answer was lost, and gives nothing when that was not carried out.
 */
export function unlessDone<T>(
  operation: () => Promise<T>,
  findOutcome: (() => Promise<T | undefined>) | undefined,
): () => Promise<T> {
  let isFirst = true;
  return async () => {
    const outcome = isFirst ? undefined : await findOutcome?.();
    isFirst = false;
    return outcome ?? (await operation());
  };
}

/**
 * Exponential back-off with jitter (between half of the delay and all of it, so that many clients do not come back at
 * once), but never sooner than the server asked for. A server cannot make us wait longer than six times the policy's longest.
 */
export function retryDelayMs(policy: RetryPolicy, attempt: number, retryAfterMs = 0): number {
  const ceilingMs = Math.min(policy.maxDelayMs, policy.firstDelayMs * 2 ** (attempt - 1));
  return Math.max((0.5 + Math.random() / 2) * ceilingMs, Math.min(retryAfterMs, 6 * policy.maxDelayMs));
}

async function abortableSleep(delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await sleep(delayMs, undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}
