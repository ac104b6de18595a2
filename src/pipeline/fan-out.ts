import type { ByteStream } from '../core/byte-stream.ts';

/** All bytes of a stream for one of several consumers; dispose when done, whether it was read or not. */
export interface Branch extends ByteStream, AsyncDisposable {}

/**
 * Gives one stream to several consumers, each of which reads all of it. They go in step: the next chunk is asked for when
 * all who still read have asked for it, so nothing is copied or kept, and the slowest one sets the pace. A consumer that
 * stops early, or disposes of its branch, drops out, and the others go on; when the last one stops, so does the source. A
 * failure of the source is everybody's.
 */
export function fanOut(source: ByteStream, count: number): readonly Branch[] {
  const shared = new SharedStream(source, count);
  return Array.from({ length: count }, () => shared.branch());
}

/** The same for two consumers. */
export function fork(source: ByteStream): readonly [Branch, Branch] {
  const shared = new SharedStream(source, 2);
  return [shared.branch(), shared.branch()];
}

type Step = IteratorResult<Uint8Array>;
type Turn = PromiseWithResolvers<Step>;

const ended: Step = { done: true, value: undefined };

class SharedStream {
  readonly #iterator: AsyncIterator<Uint8Array>;
  #readers: number;
  /** Those who asked for the next chunk and wait for it. */
  #waiting: Turn[] = [];
  #isReading = false;
  #end: Promise<Step> | undefined;

  constructor(source: ByteStream, readers: number) {
    this.#iterator = source[Symbol.asyncIterator]();
    this.#readers = readers;
  }

  branch(): Branch {
    let hasLeft = false;
    let turn: Turn | undefined;
    const iterator: AsyncIterator<Uint8Array> = {
      next: async () => {
        turn = Promise.withResolvers<Step>();
        this.#wait(turn);
        return await turn.promise;
      },
      return: async () => {
        if (!hasLeft) await this.#leave(turn);
        hasLeft = true;
        return ended;
      },
    };
    return {
      [Symbol.asyncIterator]: () => iterator,
      [Symbol.asyncDispose]: async () => void (await iterator.return?.()),
    };
  }

  #wait(turn: Turn): void {
    if (this.#end !== undefined) {
      turn.resolve(this.#end);
      return;
    }
    this.#waiting.push(turn);
    this.#readWhenAllWait();
  }

  /** `turn` may be waited for still: whoever leaves must not count as one who asks. */
  async #leave(turn: Turn | undefined): Promise<void> {
    this.#readers -= 1;
    this.#waiting = this.#waiting.filter((other) => other !== turn);
    turn?.resolve(ended);
    if (this.#readers === 0 && this.#end === undefined) await this.#iterator.return?.();
    else this.#readWhenAllWait();
  }

  #readWhenAllWait(): void {
    if (this.#isReading || this.#waiting.length === 0 || this.#waiting.length < this.#readers) return;
    this.#isReading = true;
    void this.#read();
  }

  async #read(): Promise<void> {
    const reading = this.#iterator.next();
    const step = await reading.catch(() => null);
    if (step === null || step.done === true) this.#end = reading;
    this.#isReading = false;
    const turns = this.#waiting;
    this.#waiting = [];
    for (const turn of turns) turn.resolve(reading);
  }
}
