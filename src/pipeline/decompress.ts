import { promisify } from 'node:util';
import { createGunzip, createZstdDecompress, zstdDecompress } from 'node:zlib';
import { BackupError } from '../core/backup-error.ts';
import type { ByteStream, Stage } from '../core/byte-stream.ts';
import type { CompressionMethod } from '../core/compression.ts';
import { freeAfterUse, freeChunk } from '../core/free-chunk.ts';
import { mapOrdered } from './map-ordered.ts';
import { throughTransform } from './through-transform.ts';
import { ZstdFrameReader, type ZstdFrameHeader } from './zstd-frames.ts';

/** Frames that say they hold more are decompressed as a stream instead of at once. Ours hold 4 MiB. */
const maxFrameContentBytes = 64 * 1024 * 1024;
const outputChunkBytes = 1024 * 1024;
const zstdDecompressAsync = promisify(zstdDecompress);

/**
 * Undoes `compress`: zstd frames on up to `concurrency` threads, in order; gzip members one after another. Also reads
 * what `zstd` and `gzip` themselves write. Fails with `integrity` on damaged data and on data that ends inside a frame;
 * a cut between two frames looks whole here and must be noticed by the layer below, which knows the length.
 */
export function decompress(method: CompressionMethod, concurrency: number): Stage {
  switch (method) {
    case 'none':
      return (source) => source;
    case 'zstd':
      return (source) => decompressZstd(source, concurrency);
    case 'gzip':
      return (source) => translated(throughTransform(() => createGunzip({ chunkSize: outputChunkBytes }))(source));
  }
}

async function* decompressZstd(source: ByteStream, concurrency: number): ByteStream {
  const reader = new ZstdFrameReader(source);
  try {
    for (let header = await reader.nextHeader(); header !== null; header = await reader.nextHeader()) {
      if (isSmall(header)) {
        const rest = new FrameRun(reader, header);
        yield* freeAfterUse(mapOrdered(rest.frames(), concurrency + 1, decompressFrame));
        header = rest.stoppedAt;
        if (header === null) return;
      }
      yield* translated(
        throughTransform(() => createZstdDecompress({ chunkSize: outputChunkBytes }))(whole(reader, header)),
      );
    }
  } finally {
    await reader.release();
  }
}

function isSmall(header: ZstdFrameHeader): header is ZstdFrameHeader & { contentBytes: number } {
  return header.contentBytes !== null && header.contentBytes <= maxFrameContentBytes;
}

interface Frame {
  readonly bytes: Buffer;
  readonly contentBytes: number;
}

/** Consecutive small frames; `stoppedAt` is the header of the first large one after them, or `null` at the end. */
class FrameRun {
  stoppedAt: ZstdFrameHeader | null;
  readonly #reader: ZstdFrameReader;

  constructor(reader: ZstdFrameReader, first: ZstdFrameHeader) {
    this.#reader = reader;
    this.stoppedAt = first;
  }

  async *frames(): AsyncGenerator<Frame> {
    while (this.stoppedAt !== null && isSmall(this.stoppedAt)) {
      const header = this.stoppedAt;
      yield { bytes: await this.#read(header, header.contentBytes), contentBytes: header.contentBytes };
      this.stoppedAt = await this.#reader.nextHeader();
    }
  }

  /** Compressed data is never much larger than its content, so a frame that is was not made by a compressor. */
  async #read(header: ZstdFrameHeader, contentBytes: number): Promise<Buffer> {
    const frame = Buffer.allocUnsafeSlow(contentBytes * 2 + outputChunkBytes);
    let sizeBytes = header.bytes.copy(frame);
    for await (const part of this.#reader.body(header)) {
      if (part.byteLength > frame.byteLength - sizeBytes) throw damaged('frame larger than its content');
      frame.set(part, sizeBytes);
      sizeBytes += part.byteLength;
    }
    return frame.subarray(0, sizeBytes);
  }
}

async function decompressFrame(frame: Frame): Promise<Buffer> {
  // A frame that says 0 bytes still needs room for the decompressor to find that out.
  const limit = Math.max(frame.contentBytes, 1);
  const content = await zstdDecompressAsync(frame.bytes, {
    maxOutputLength: limit,
    // With a byte to spare: for a buffer that is full Node takes a second one at once.
    chunkSize: Math.max(limit + 1, 64),
  }).catch((error: unknown) => {
    throw damaged(error);
  });
  freeChunk(frame.bytes);
  if (content.byteLength !== frame.contentBytes) throw damaged('frame shorter than it says');
  return content;
}

async function* whole(reader: ZstdFrameReader, header: ZstdFrameHeader): ByteStream {
  yield header.bytes;
  yield* reader.body(header);
}

/** Node's zlib errors are about the data; errors of the source pass through as they are. */
async function* translated(stream: ByteStream): ByteStream {
  try {
    yield* stream;
  } catch (error) {
    throw error instanceof BackupError ? error : damaged(error);
  }
}

function damaged(reason: unknown): BackupError {
  const text = reason instanceof Error ? reason.message : String(reason);
  return new BackupError('integrity', `compressed data is damaged: ${text}`, { cause: reason });
}
