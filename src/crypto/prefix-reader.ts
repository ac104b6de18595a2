import type { ByteStream } from '../core/byte-stream.ts';

/** Reads exact sizes from the start of a stream, then hands over the rest. Disposing it closes the stream. */
export class PrefixReader implements AsyncDisposable {
  readonly #iterator: AsyncIterator<Uint8Array>;
  #held: Uint8Array = new Uint8Array(0);

  constructor(source: ByteStream) {
    this.#iterator = source[Symbol.asyncIterator]();
  }

  /** The next `sizeBytes` bytes, or null when the stream ends before them. */
  async take(sizeBytes: number): Promise<Buffer | null> {
    const taken = Buffer.alloc(sizeBytes);
    for (let filled = 0; filled < sizeBytes;) {
      if (this.#held.byteLength === 0 && !(await this.#pull())) return null;
      const piece = this.#held.subarray(0, sizeBytes - filled);
      taken.set(piece, filled);
      filled += piece.byteLength;
      this.#held = this.#held.subarray(piece.byteLength);
    }
    return taken;
  }

  /** Everything that was not taken. */
  async *rest(): ByteStream {
    if (this.#held.byteLength > 0) yield this.#held;
    while (await this.#pull()) yield this.#held;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#iterator.return?.();
  }

  /** Holds the next chunk; false at the end. */
  async #pull(): Promise<boolean> {
    const next = await this.#iterator.next();
    if (next.done === true) return false;
    this.#held = next.value;
    return true;
  }
}
