import { BackupError } from '../core/backup-error.ts';
import type { ByteStream } from '../core/byte-stream.ts';

/** Reads a stream by exact counts instead of by chunks. */
export class ByteReader {
  readonly #iterator: AsyncIterator<Uint8Array>;
  #chunks: Uint8Array[] = [];
  #availableBytes = 0;

  constructor(source: ByteStream) {
    this.#iterator = source[Symbol.asyncIterator]();
  }

  /** Whether the stream ended and every byte was taken. */
  async isAtEnd(): Promise<boolean> {
    return !(await this.#fill(1));
  }

  /** The next `count` bytes, without taking them; fails with `integrity` when the stream ends before. */
  async peek(count: number): Promise<Buffer> {
    if (!(await this.#fill(count))) throw new BackupError('integrity', 'compressed data ends too early');
    const [first] = this.#chunks;
    if (first === undefined || first.byteLength < count) this.#chunks = [Buffer.concat(this.#chunks)];
    const [joined = Buffer.alloc(0)] = this.#chunks;
    return Buffer.from(joined.buffer, joined.byteOffset, count);
  }

  /** Takes the next `count` bytes; fails with `integrity` when the stream ends before. */
  async take(count: number): Promise<Buffer> {
    const bytes = await this.peek(count);
    const [first] = this.#chunks;
    if (first !== undefined) this.#chunks[0] = first.subarray(count);
    this.#availableBytes -= count;
    return bytes;
  }

  async release(): Promise<void> {
    await this.#iterator.return?.();
  }

  async #fill(count: number): Promise<boolean> {
    while (this.#availableBytes < count) {
      const next = await this.#iterator.next();
      if (next.done === true) return false;
      this.#chunks.push(Buffer.from(next.value));
      this.#availableBytes += next.value.byteLength;
    }
    return true;
  }
}
