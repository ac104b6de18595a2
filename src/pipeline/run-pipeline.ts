import { BackupError } from '../core/backup-error.ts';
import type { Meter } from './meter.ts';

export interface PipelineOptions {
  /** Interrupts the run; its reason is then the run's error. */
  readonly signal: AbortSignal;
  /** Fails the run when `meter` has waited longer than `timeoutMs` for its next bytes. */
  readonly stall?: StallGuard | undefined;
}

export interface StallGuard {
  readonly meter: Meter;
  readonly timeoutMs: number;
  /** Whose bytes are missing, for the message. */
  readonly what: string;
}

/**
 * Runs one pipeline: `flow` connects source, stages and sink, and settles when the sink has. On the first failure, a
 * stall or an interruption, everything that listens to the signal given to `flow` is told to stop. The error thrown is
 * the first one; an interruption from outside comes before what it caused.
 */
export async function runPipeline<Result>(
  options: PipelineOptions,
  flow: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const teardown = new AbortController();
  const signal = AbortSignal.any([options.signal, teardown.signal]);
  const watchdog = options.stall && watchStall(options.stall, teardown);
  try {
    signal.throwIfAborted();
    return await flow(signal);
  } catch (error) {
    const cause: unknown = signal.aborted ? signal.reason : error;
    teardown.abort(error);
    throw cause;
  } finally {
    clearInterval(watchdog);
  }
}

function watchStall({ meter, timeoutMs, what }: StallGuard, teardown: AbortController): NodeJS.Timeout {
  return setInterval(
    () => {
      if (meter.waitedMs() < timeoutMs) return;
      const message = `${what} has given no byte for ${Math.round(timeoutMs / 1000)} seconds`;
      teardown.abort(
        new BackupError('postgres', message, { hint: 'Find out what it waits for, or raise --stall-timeout.' }),
      );
    },
    Math.min(1000, timeoutMs / 2),
  );
}
