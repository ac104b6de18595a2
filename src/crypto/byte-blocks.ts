import type { ByteStream } from '../core/byte-stream.ts';

export interface BlockOptions {
  readonly blockBytes: number;
  /** So many free bytes are in front of each block, for a header that the caller writes there. */
  readonly headroomBytes?: number;
  /** Each block overwrites the one before, instead of being a buffer of its own, which costs 0.5 s of CPU per GiB. */
  readonly isReused?: boolean;
}

/** The same bytes in blocks of exactly `blockBytes`, the last one shorter and never empty; none for an empty source. */
export async function* inBlocks(source: ByteStream, options: BlockOptions): AsyncGenerator<Buffer> {
  const { blockBytes, headroomBytes = 0, isReused = false } = options;
  let block: Buffer | null = null;
  let filled = headroomBytes;
  const end = headroomBytes + blockBytes;
  for await (const chunk of source) {
    for (let offset = 0; offset < chunk.byteLength;) {
      block ??= Buffer.allocUnsafeSlow(end);
      const part = chunk.subarray(offset, offset + end - filled);
      block.set(part, filled);
      filled += part.byteLength;
      offset += part.byteLength;
      if (filled < end) continue;
      yield block;
      if (!isReused) block = null;
      filled = headroomBytes;
    }
  }
  if (block !== null && filled > headroomBytes) yield block.subarray(0, filled);
}
