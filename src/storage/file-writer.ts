import type { FileHandle } from 'node:fs/promises';

const bufferBytes = 1024 * 1024;
const bufferCount = 4;
/** How much may wait to be written to the disk: what is left for the last sync is then a matter of milliseconds. */
const syncEveryBytes = 16 * 1024 * 1024;

/**
 * Writes a file from its beginning in pieces of 1 MiB. Chunks are copied into one of four buffers, which are written
 * one after the other while the next is filled: disk and producer work at the same time, in 4 MiB of memory. What was
 * written is synced on the way, beside the writing; the caller's own sync at the end then takes milliseconds. After a
 * failure every further call fails with it. The handle stays the caller's, who waits for `settle` before closing it.
 */
export class FileWriter {
  readonly #handle: FileHandle;
  readonly #buffers: readonly Buffer[];
  /** By buffer: when its last write is done. */
  readonly #written: Promise<void>[];
  #current = 0;
  #filled = 0;
  #position = 0;
  #syncing: Promise<void> | null = null;
  #startedSyncAt = 0;

  constructor(handle: FileHandle) {
    this.#handle = handle;
    this.#buffers = Array.from({ length: bufferCount }, () => Buffer.allocUnsafeSlow(bufferBytes));
    this.#written = Array.from({ length: bufferCount }, async () => {});
  }

  /** Bytes given to `write` so far. */
  get sizeBytes(): number {
    return this.#position + this.#filled;
  }

  /** Takes the chunk; when it returns, the chunk may be reused. */
  async write(chunk: Uint8Array): Promise<void> {
    for (let taken = 0; taken < chunk.byteLength;) {
      const piece = chunk.subarray(taken, taken + bufferBytes - this.#filled);
      this.#buffer.set(piece, this.#filled);
      this.#filled += piece.byteLength;
      taken += piece.byteLength;
      if (this.#filled === bufferBytes) await this.#flush();
    }
  }

  /** Waits until everything is written. */
  async finish(): Promise<void> {
    if (this.#filled > 0) await this.#flush();
    await Promise.all([...this.#written, this.#syncing]);
  }

  /** Waits until nothing is being written any more, whatever came of it. */
  async settle(): Promise<void> {
    await Promise.allSettled([...this.#written, this.#syncing]);
  }

  get #buffer(): Buffer {
    return this.#buffers[this.#current] as Buffer;
  }

  /** Starts to write the current buffer after those before it, and waits for the next one to become free. */
  async #flush(): Promise<void> {
    const bytes = this.#buffer.subarray(0, this.#filled);
    const position = this.#position;
    const before = this.#written[(this.#current + bufferCount - 1) % bufferCount];
    const writing = (async () => {
      await before;
      await this.#writeAll(bytes, position);
    })();
    writing.catch(() => {});
    this.#written[this.#current] = writing;
    this.#position += this.#filled;
    this.#filled = 0;
    this.#current = (this.#current + 1) % bufferCount;
    this.#syncBesideWriting();
    await this.#written[this.#current];
  }

  /** One sync at a time: while it runs, the next one's share gathers. */
  #syncBesideWriting(): void {
    if (this.#syncing !== null || this.#position - this.#startedSyncAt < syncEveryBytes) return;
    this.#startedSyncAt = this.#position;
    const syncing = this.#sync();
    // Thrown by `finish`; the next write of a broken disk will fail by itself.
    syncing.catch(() => {});
    this.#syncing = syncing;
  }

  async #sync(): Promise<void> {
    await this.#handle.datasync();
    this.#syncing = null;
  }

  async #writeAll(bytes: Buffer, position: number): Promise<void> {
    for (let done = 0; done < bytes.byteLength;) {
      const { bytesWritten } = await this.#handle.write(bytes, done, bytes.byteLength - done, position + done);
      done += bytesWritten;
    }
  }
}
