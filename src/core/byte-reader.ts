import type { ByteStream } from './byte-stream.ts';

const nothing = new Uint8Array(0);

/**
 * Reads a byte stream by the amounts a format asks for. Pulls from the source only what it needs. Chunks it gives away
 * belong to the caller until the next call. Errors of the source pass through as they are.
 */
export class ByteReader implements AsyncDisposable {
  readonly #source: AsyncIterator<Uint8Array>;
  #chunk: Uint8Array = nothing;
  #isEnded = false;

  constructor(source: ByteStream) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** The next byte, or `null` at the end. */
  async readByte(): Promise<number | null> {
    const [byte] = await this.readSome(1);
    return byte ?? null;
  }

  /** Exactly `size` bytes, fewer only when the source ends before. */
  async read(size: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(size);
    let filled = 0;
    while (filled < size) {
      const some = await this.readSome(size - filled);
      if (some.byteLength === 0) break;
      bytes.set(some, filled);
      filled += some.byteLength;
    }
    return bytes.subarray(0, filled);
  }

  /** Between 1 and `maxBytes` bytes as they come, without a copy; none at the end. */
  async readSome(maxBytes: number): Promise<Uint8Array> {
    await this.#fill();
    const some = this.#chunk.subarray(0, maxBytes);
    this.#chunk = this.#chunk.subarray(some.byteLength);
    return some;
  }

  /** The next `size` bytes without consuming them, fewer only when the source ends before. */
  async peek(size: number): Promise<Buffer> {
    await this.#fill();
    if (this.#chunk.byteLength >= size) return Buffer.from(this.#chunk.subarray(0, size));
    const bytes = await this.read(size);
    this.#chunk = this.#chunk.byteLength === 0 ? bytes : Buffer.concat([bytes, this.#chunk]);
    return Buffer.from(bytes);
  }

  async isAtEnd(): Promise<boolean> {
    await this.#fill();
    return this.#chunk.byteLength === 0;
  }

  /** Everything that is left, in chunks as they come. */
  async *rest(): ByteStream {
    while (!(await this.isAtEnd())) yield await this.readSome(Infinity);
  }

  /** Releases the source; needed whenever reading may have stopped before the end. */
  async close(): Promise<void> {
    this.#chunk = nothing;
    if (this.#isEnded) return;
    this.#isEnded = true;
    await this.#source.return?.();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #fill(): Promise<void> {
    while (this.#chunk.byteLength === 0 && !this.#isEnded) {
      const next = await this.#next();
      if (next.done === true) this.#isEnded = true;
      else this.#chunk = next.value;
    }
  }

  /** A source that threw is over: it must not be asked again, nor be released. */
  async #next(): Promise<IteratorResult<Uint8Array>> {
    try {
      return await this.#source.next();
    } catch (error) {
      this.#isEnded = true;
      throw error;
    }
  }
}
