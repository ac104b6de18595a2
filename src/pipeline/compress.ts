import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Stage } from '../core/byte-stream.ts';
import { compressionFrameBytes, type Compression } from '../core/compression.ts';
import { BufferPool, gather } from './gather.ts';
import { mapOrdered } from './map-ordered.ts';
import { lowerPoolPriority } from './pool-priority.ts';
import { ZstdCompressor } from './zstd-compressor.ts';

const gzipAsync = promisify(gzip);

/**
 * Compresses into independent frames (zstd, RFC 8878) or members (gzip, RFC 1952) of 4 MiB input each, on up to
 * `concurrency` threads of Node's pool, in order; `zstd -d` and `gunzip` read the whole as one stream. Each frame is
 * compressed from one buffer because Node's own multi-threaded mode truncates (nodejs/node#59899).
 */
export function compress(compression: Compression, concurrency: number): Stage {
  switch (compression.method) {
    case 'none':
      return (source) => source;
    case 'zstd':
      return compressZstd(compression.level, concurrency);
    case 'gzip':
      return compressFrames(concurrency, async (block) => [await gzipAsync(block, { level: compression.level })]);
  }
}

function compressZstd(level: number, concurrency: number): Stage {
  return async function* (source) {
    using made = new DisposableStack();
    const idle: ZstdCompressor[] = [];
    yield* compressFrames(concurrency, async (block) => {
      const compressor = idle.pop() ?? made.use(new ZstdCompressor(level));
      const pieces = await compressor.compress(block);
      idle.push(compressor);
      return pieces;
    })(source);
  };
}

function compressFrames(
  concurrency: number,
  compressBlock: (block: Uint8Array) => Promise<readonly Uint8Array[]>,
): Stage {
  return async function* (source) {
    lowerPoolPriority();
    const pool = new BufferPool(compressionFrameBytes);
    // One more than the threads: a finished frame that waits for its turn must not leave a core idle.
    const frames = mapOrdered(gather(source, compressionFrameBytes, pool), concurrency + 1, async (block) => {
      const pieces = await compressBlock(block.buffer.subarray(0, block.sizeBytes));
      pool.takeBack(block.buffer);
      return pieces;
    });
    for await (const pieces of frames) yield* pieces;
  };
}
