import type { ByteStream } from '../core/byte-stream.ts';

/**
 * A byte stream as a web stream that remembers whether its consumer waits for it, so that a consumer that hangs can be
 * told from one that has nothing to work on. An error of the source is kept as it was: consumers like to wrap them.
 */
export class WatchedInput {
  readonly stream: ReadableStream<Uint8Array>;
  readonly #source: AsyncIterator<Uint8Array>;
  #isWaiting = false;
  #isEnded = false;
  #lastDelivery = performance.now();
  #failure: { readonly error: unknown } | null = null;

  constructor(source: ByteStream) {
    this.#source = source[Symbol.asyncIterator]();
    this.stream = new ReadableStream<Uint8Array>(
      { pull: async (controller) => await this.#pull(controller) },
      { highWaterMark: 0 },
    );
  }

  /** The error with which the source ended, if it did. */
  get failure(): { readonly error: unknown } | null {
    return this.#failure;
  }

  /** `work`, or the rejection with `onStall()` once it has had all it asked for and `timeoutMs` more. */
  async guard<T>(work: Promise<T>, timeoutMs: number, onStall: () => Error): Promise<T> {
    const stalled = Promise.withResolvers<never>();
    const start = performance.now();
    const watch = setInterval(
      () => {
        const idleMs = performance.now() - Math.max(start, this.#lastDelivery);
        if (!this.#isWaiting && idleMs > timeoutMs) stalled.reject(onStall());
      },
      Math.min(timeoutMs, 1_000),
    );
    try {
      return await Promise.race([work, stalled.promise]);
    } finally {
      clearInterval(watch);
    }
  }

  /** Releases the source. Does not wait for one that is busy: it may never finish. */
  async close(): Promise<void> {
    if (this.#isEnded) return;
    this.#isEnded = true;
    const released = this.#source.return?.();
    if (this.#isWaiting) released?.catch(() => {});
    else await released;
  }

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    this.#isWaiting = true;
    try {
      const next = await this.#source.next();
      // A copy: consumers of web streams keep chunks, whose memory is the source's again when the next one is asked for.
      if (next.done !== true) return controller.enqueue(Uint8Array.from(next.value));
      this.#isEnded = true;
      controller.close();
    } catch (error) {
      this.#isEnded = true;
      this.#failure = { error };
      controller.error(error);
    } finally {
      this.#isWaiting = false;
      this.#lastDelivery = performance.now();
    }
  }
}
