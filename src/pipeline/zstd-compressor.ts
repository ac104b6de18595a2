import { constants, createZstdCompress, type ZstdCompress } from 'node:zlib';

const outputChunkBytes = 1024 * 1024;

/**
 * Levels 1 and 2 look back 128 KiB instead of 512 KiB and 1 MiB, and level 1 remembers 4,096 places instead of 16,384:
 * window and tables then stay in the caches of a core, which the server's process on the same core empties. Measured on a
 * mixed dump: 18 % and 26 % less CPU for 1 % and 7 % more bytes, then another 15 to 30 % for 1 to 3 % at level 1.
 */
const fastParameters: Readonly<Record<number, Readonly<Record<number, number>>>> = {
  1: { [constants.ZSTD_c_windowLog]: 17, [constants.ZSTD_c_hashLog]: 12 },
  2: { [constants.ZSTD_c_windowLog]: 17 },
};

/**
 * Compresses one block after another into independent zstd frames, in Node's thread pool. Keeps its context and its
 * output buffer between frames: with a new one for each, the garbage collector takes a third of what zstd takes.
 */
export class ZstdCompressor implements Disposable {
  readonly #stream: ZstdCompress;
  #pieces: Buffer[] = [];

  constructor(level: number) {
    this.#stream = createZstdCompress({
      // Each write is one whole frame, whose size zstd then knows and puts into its header.
      flush: constants.ZSTD_e_end,
      chunkSize: outputChunkBytes,
      params: {
        [constants.ZSTD_c_compressionLevel]: level,
        // Off by default in Node: flipped bits would pass.
        [constants.ZSTD_c_checksumFlag]: 1,
        ...fastParameters[level],
      },
    });
    this.#stream.on('data', (piece: Buffer) => this.#pieces.push(piece));
  }

  /** The frame of `block`, in pieces that are the caller's. One block at a time. */
  async compress(block: Uint8Array): Promise<readonly Buffer[]> {
    await new Promise<void>((resolve, reject) => {
      this.#stream.once('error', reject);
      this.#stream.write(block, (error) => {
        this.#stream.off('error', reject);
        if (error) reject(error);
        else resolve();
      });
    });
    const pieces = this.#pieces;
    this.#pieces = [];
    return pieces;
  }

  [Symbol.dispose](): void {
    this.#stream.destroy();
  }
}
