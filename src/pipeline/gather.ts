import type { ByteStream } from '../core/byte-stream.ts';

/** Lends equal buffers and takes them back, so that a steady flow allocates a handful of them once. */
export class BufferPool {
  readonly #sizeBytes: number;
  readonly #free: Buffer[] = [];

  constructor(sizeBytes: number) {
    this.#sizeBytes = sizeBytes;
  }

  lend(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#sizeBytes);
  }

  takeBack(buffer: Buffer): void {
    this.#free.push(buffer);
  }
}

/** A lent buffer of which the first `sizeBytes` bytes are filled. */
export interface Block {
  readonly buffer: Buffer;
  readonly sizeBytes: number;
}

/**
 * Copies small chunks (pg_dump writes 8 KiB, a pipe gives 64 KiB) into blocks of exactly `blockBytes`; the last one may
 * be shorter; an empty source gives one empty block. Whoever takes a block gives its buffer back to the pool.
 */
export async function* gather(source: ByteStream, blockBytes: number, pool: BufferPool): AsyncGenerator<Block> {
  let buffer = pool.lend();
  let filled = 0;
  let isEmpty = true;
  for await (const chunk of source) {
    let taken = 0;
    while (taken < chunk.byteLength) {
      const part = chunk.subarray(taken, taken + blockBytes - filled);
      buffer.set(part, filled);
      taken += part.byteLength;
      filled += part.byteLength;
      if (filled === blockBytes) {
        yield { buffer, sizeBytes: filled };
        isEmpty = false;
        buffer = pool.lend();
        filled = 0;
      }
    }
  }
  if (filled > 0 || isEmpty) yield { buffer, sizeBytes: filled };
}
