import type { Stage } from '../core/byte-stream.ts';

/** Counts the bytes that pass a point of a pipeline, and knows since when it has been waiting for the next ones. */
export class Meter {
  #bytes = 0;
  #waitingSince: number | null = null;

  get bytes(): number {
    return this.#bytes;
  }

  /** Milliseconds of the monotonic clock since the point asked for bytes that have not come; 0 while none is asked. */
  waitedMs(): number {
    return this.#waitingSince === null ? 0 : performance.now() - this.#waitingSince;
  }

  readonly count: Stage = (source) => this.#count(source);

  async *#count(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    this.#waitingSince = performance.now();
    for await (const chunk of source) {
      this.#waitingSince = null;
      this.#bytes += chunk.byteLength;
      yield chunk;
      this.#waitingSince = performance.now();
    }
    this.#waitingSince = null;
  }
}
