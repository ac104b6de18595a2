import type { ByteStream } from '../core/byte-stream.ts';

/**
 * The same bytes in blocks of exactly `blockBytes`, the last one shorter and never empty; none for an empty source. Each
 * block is a buffer of its own with `headroomBytes` free bytes in front, for a header that the caller writes there.
 */
export async function* inBlocks(source: ByteStream, blockBytes: number, headroomBytes = 0): AsyncGenerator<Buffer> {
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
      block = null;
      filled = headroomBytes;
    }
  }
  if (block !== null) yield block.subarray(0, filled);
}
