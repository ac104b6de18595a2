import type { ByteStream } from '../core/byte-stream.ts';

export interface BlockOptions {
  readonly blockBytes: number;
  /** So many free bytes are in front of each block, for a header that the caller writes there. */
  readonly headroomBytes?: number;
  /** So many buffers take turns: with 1 each block overwrites the one before, with 2 the one before that. */
  readonly buffers: number;
}

/** The same bytes in blocks of exactly `blockBytes`, the last one shorter and never empty; none for an empty source. */
export async function* inBlocks(source: ByteStream, options: BlockOptions): AsyncGenerator<Buffer> {
  const { blockBytes, headroomBytes = 0, buffers } = options;
  const end = headroomBytes + blockBytes;
  const idle: Buffer[] = Array.from({ length: buffers }, () => Buffer.allocUnsafeSlow(end));
  let block: Buffer | null = null;
  let filled = headroomBytes;
  for await (const chunk of source) {
    for (let offset = 0; offset < chunk.byteLength;) {
      block ??= idle.shift() ?? Buffer.allocUnsafeSlow(end);
      const part = chunk.subarray(offset, offset + end - filled);
      block.set(part, filled);
      filled += part.byteLength;
      offset += part.byteLength;
      if (filled < end) continue;
      yield block;
      idle.push(block);
      block = null;
      filled = headroomBytes;
    }
  }
  if (block !== null && filled > headroomBytes) yield block.subarray(0, filled);
}
