import { BackupError } from '../core/backup-error.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import type { GetOptions } from './object-store.ts';
import { readRanges, type RangeSource } from './ranged-read.ts';
import { withRetries, type RetryOptions, type RetryPolicy } from '../core/retry.ts';
import type { StoreTimings } from './store-settings.ts';

// Larger or more ranges are no faster than a restore can use, and leave more buffers to the garbage collector.
const rangeBytes = 4 * 1024 * 1024;
const maxRangesInFlight = 4;

/** The user metadata in which every object keeps the name of the `put` that made it, where `-` may be in a name. */
export const putIdMetadata = 'librelog-put-id';

/** The place that calls go to. */
export interface StoreTarget {
  readonly prefix: string;
  /** The address as the user gave it. */
  readonly url: string;
  readonly timings: StoreTimings;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** How patiently the call is repeated; `timings.retry` by default. */
  readonly policy?: RetryPolicy;
}

/** What the errors of one vendor's SDK mean. */
export interface ErrorReading extends Pick<RetryOptions, 'isTransient' | 'retryAfterMs'> {
  readonly translate: (error: unknown, action: string) => BackupError;
}

/** How all requests of one store are made: repeated after transient faults, and their errors translated once. */
export class StoreCalls<Target extends StoreTarget> {
  readonly target: Target;
  readonly #errors: ErrorReading;

  constructor(target: Target, errors: ErrorReading) {
    this.target = target;
    this.#errors = errors;
  }

  /** The name in the bucket or container of an object of this store. */
  fullKey(key: string): string {
    return this.target.prefix === '' ? key : `${this.target.prefix}/${key}`;
  }

  describe(key: string): string {
    return `"${key}" in "${this.target.url}"`;
  }

  /** Runs `request` until it succeeds or fails for good; `action` is for the message. */
  async run<T>(action: string, request: () => Promise<T>, options: CallOptions = {}): Promise<T> {
    const { signal, policy = this.target.timings.retry } = options;
    try {
      return await withRetries(request, { ...this.#retry(policy), signal });
    } catch (error) {
      signal?.throwIfAborted();
      throw this.#errors.translate(error, action);
    }
  }

  /** The bytes of an object, whose ranges come from `source`. */
  read(key: string, source: RangeSource, { start, end, signal }: GetOptions): ByteStream {
    const retry = this.#retry(this.target.timings.patientRetry);
    return readRanges(source, { name: this.describe(key), start, end, rangeBytes, maxRangesInFlight, retry, signal });
  }

  #retry(policy: RetryPolicy): Omit<RetryOptions, 'signal'> {
    const { translate: _, ...errors } = this.#errors;
    return { policy, ...errors };
  }
}

/** The SDKs' options for a request that ends when the signal aborts. */
export function abortedBy(signal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  return signal === undefined ? {} : { abortSignal: signal };
}

/** `hidden` in place of a failure that means only that these credentials may not look. */
export function hiddenIfDenied(error: unknown): 'hidden' {
  if (error instanceof BackupError && error.kind === 'access') return 'hidden';
  throw error;
}

/** Whether a look has failed because of the object's customer key: it is there, and not ours. */
export function isUnderOtherKey(error: unknown): boolean {
  return error instanceof BackupError && error.kind === 'key';
}

/** HTTP statuses of a server that does not let itself be asked: it may not tell, or does not know the question. */
export const refusedQuestionStatuses: ReadonlySet<number | undefined> = new Set([400, 403, 404, 405, 501]);
