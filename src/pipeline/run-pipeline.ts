import { BackupError } from '../core/backup-error.ts';
import type { ByteStream, Stage } from '../core/byte-stream.ts';
import type { Meter } from './meter.ts';

export interface PipelinePlan<Result> {
  /** Starts the flow. Must end soon after `signal` aborts, and throw unless it can vouch for every byte it gave. */
  readonly source: (signal: AbortSignal) => ByteStream;
  readonly stages: readonly Stage[];
  /** Consumes the flow; when it fails, it leaves nothing behind. */
  readonly sink: (body: ByteStream, signal: AbortSignal) => Promise<Result>;
  readonly signal?: AbortSignal | undefined;
  /** Fails the run when `meter` has waited longer than `timeoutMs` for its next bytes. */
  readonly stall?: { readonly meter: Meter; readonly timeoutMs: number; readonly what: string } | undefined;
}

/**
 * Runs one pipeline to its end. It succeeds only when the source, every stage and the sink did. On the first failure
 * everything else is told to stop through the signal, and that first failure is thrown; an interruption from outside
 * comes before what it caused.
 */
export async function runPipeline<Result>(plan: PipelinePlan<Result>): Promise<Result> {
  const teardown = new AbortController();
  const signal = plan.signal === undefined ? teardown.signal : AbortSignal.any([plan.signal, teardown.signal]);
  const watchdog = watchStall(plan.stall, teardown);
  try {
    signal.throwIfAborted();
    let body = plan.source(signal);
    for (const stage of plan.stages) body = stage(body);
    return await plan.sink(body, signal);
  } catch (error) {
    const cause: unknown = signal.aborted ? signal.reason : error;
    teardown.abort(error);
    throw cause;
  } finally {
    clearInterval(watchdog);
  }
}

function watchStall(stall: PipelinePlan<unknown>['stall'], teardown: AbortController): NodeJS.Timeout | undefined {
  if (stall === undefined) return undefined;
  const { meter, timeoutMs, what } = stall;
  return setInterval(
    () => {
      if (meter.waitedMs() < timeoutMs) return;
      const message = `${what} has given no byte for ${Math.round(timeoutMs / 1000)} seconds`;
      teardown.abort(
        new BackupError('postgres', message, { hint: 'Look for locks on the source, or raise --stall-timeout.' }),
      );
    },
    Math.min(1000, timeoutMs / 2),
  );
}
