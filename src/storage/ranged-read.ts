import { BackupError } from '../core/backup-error.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import { freeAfterUse } from '../core/free-chunk.ts';
import { withRetries, type RetryOptions } from '../core/retry.ts';
import { checkedRange, clampRange, type ByteRange } from './byte-range.ts';

/** The answer to one range request. */
export interface RangeAnswer {
  /** The bytes asked for; ends early or throws when the connection is cut. */
  readonly body: ByteStream;
  /** Size of the whole object. */
  readonly objectBytes: number;
  /** Names the content that was read, for `pin`; empty when the server does not say. */
  readonly contentTag: string;
}

export interface RangeSource {
  /**
   * One request, not repeated, for the bytes of `range`, whose end may lie behind the object's. With `pin`, the
   * `contentTag` of an earlier answer, only from the same content, or a failure with `integrity`. `null`: the object
   * has no byte there.
   */
  open(range: ByteRange, pin: string | undefined, signal: AbortSignal): Promise<RangeAnswer | null>;
}

export interface RangedReadOptions {
  readonly start?: number | undefined;
  readonly end?: number | undefined;
  /** What is read, for messages: `"backup.dump" in "s3://bucket"`. */
  readonly name: string;
  readonly rangeBytes: number;
  readonly maxRangesInFlight: number;
  readonly retry: Omit<RetryOptions, 'signal'>;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The bytes of one object, in order, fetched as ranges of `rangeBytes`, `maxRangesInFlight` at a time, and held in as
 * many buffers. All ranges come from the same content. A range that is cut off goes on at the first byte that is missing;
 * the attempts of the retry policy count calls in a row that brought nothing.
 */
export async function* readRanges(source: RangeSource, options: RangedReadOptions): ByteStream {
  const stopped = new AbortController();
  const signal = options.signal === undefined ? stopped.signal : AbortSignal.any([options.signal, stopped.signal]);
  const reader = new RangeReader(source, options, signal);
  try {
    yield* freeAfterUse(reader.read());
  } finally {
    stopped.abort();
  }
}

class RangeReader {
  readonly #source: RangeSource;
  readonly #options: RangedReadOptions;
  readonly #signal: AbortSignal;
  #pin: string | undefined;

  constructor(source: RangeSource, options: RangedReadOptions, signal: AbortSignal) {
    this.#source = source;
    this.#options = options;
    this.#signal = signal;
  }

  async *read(): ByteStream {
    const { rangeBytes, maxRangesInFlight } = this.#options;
    const wanted = checkedRange(this.#options);
    // At least one byte: nobody can be asked for none, and the answer says whether the object is there.
    const firstEnd = Math.min(Math.max(wanted.end, wanted.start + 1), wanted.start + rangeBytes);
    const answer = await this.#open({ start: wanted.start, end: firstEnd });
    if (answer === null) return;
    this.#pin = answer.contentTag;
    const { start, end } = clampRange(wanted, answer.objectBytes);
    if (start === end) return;

    const fetching: Promise<Buffer>[] = [];
    let opened: RangeAnswer | undefined = answer;
    for (const range of splitRange({ start, end }, rangeBytes)) {
      const fetched = this.#fetch(range, opened);
      fetched.catch(() => {});
      fetching.push(fetched);
      opened = undefined;
      if (fetching.length === maxRangesInFlight) yield await (fetching.shift() ?? fetched);
    }
    for (const fetched of fetching) yield await fetched;
  }

  async #open(range: ByteRange): Promise<RangeAnswer | null> {
    return await this.#retry(async () => await this.#source.open(range, this.#pin, this.#signal));
  }

  /** All bytes of `range`; `opened` is the answer to a request for them that is already there, if one is. */
  async #fetch(range: ByteRange, opened: RangeAnswer | undefined): Promise<Buffer> {
    const buffer = Buffer.allocUnsafeSlow(range.end - range.start);
    let answer = opened;
    let filled = 0;
    const receiveMore = async (): Promise<number> => {
      const rest = { start: range.start + filled, end: range.end };
      const current = answer ?? (await this.#source.open(rest, this.#pin, this.#signal));
      answer = undefined;
      if (current === null)
        throw new BackupError('integrity', `${this.#options.name} became shorter while it was read`);
      return await receive(current.body, buffer.subarray(filled));
    };
    while (filled < buffer.byteLength) filled += await this.#retry(receiveMore);
    return buffer;
  }

  async #retry<T>(operation: () => Promise<T>): Promise<T> {
    const { retry, name } = this.#options;
    const isTransient = (error: unknown): boolean => error instanceof CutOff || retry.isTransient(error);
    try {
      return await withRetries(operation, { ...retry, isTransient, signal: this.#signal });
    } catch (error) {
      if (!(error instanceof CutOff)) throw error;
      throw new BackupError('storage', `cannot read ${name}: the connection was cut again and again`, {
        cause: error.cause,
      });
    }
  }
}

function* splitRange(range: ByteRange, pieceBytes: number): Iterable<ByteRange> {
  for (let start = range.start; start < range.end; start += pieceBytes) {
    yield { start, end: Math.min(start + pieceBytes, range.end) };
  }
}

/** The body of an answer ended or failed before its first byte. */
class CutOff extends Error {}

/**
 * Fills `buffer` from `body` and gives the number of bytes that came before it ended or broke: at least one. The body is
 * read to its end even when the buffer is full: leaving earlier would close the connection, and cost a new one.
 */
async function receive(body: ByteStream, buffer: Buffer): Promise<number> {
  let filled = 0;
  try {
    for await (const chunk of body) {
      const piece = chunk.subarray(0, buffer.byteLength - filled);
      buffer.set(piece, filled);
      filled += piece.byteLength;
    }
  } catch (error) {
    if (filled === 0) throw new CutOff('cut off', { cause: error });
  }
  if (filled === 0) throw new CutOff('cut off');
  return filled;
}
