import { createHash } from 'node:crypto';
import type { ByteStream } from '../../src/core/byte-stream.ts';
import { parseCompression } from '../../src/core/compression.ts';
import { compress } from '../../src/pipeline/compress.ts';
import { decompress } from '../../src/pipeline/decompress.ts';

/** Text that compresses, the same every time. */
export function sample(sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(sizeBytes);
  let state = 1;
  for (let index = 0; index < sizeBytes; index += 1) {
    state = (state * 1_103_515_245 + 12_345) & 0x7fffffff;
    bytes[index] = 97 + ((state >> 16) % 11);
  }
  return bytes;
}

/** `bytes` in chunks of `chunkBytes`. */
export async function* chunked(bytes: Buffer, chunkBytes: number): ByteStream {
  for (let start = 0; start < bytes.byteLength; start += chunkBytes) yield bytes.subarray(start, start + chunkBytes);
}

/** The whole stream. */
export async function join(stream: ByteStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

/** Compresses as a backup does. */
export async function pack(bytes: Buffer, method = 'zstd:1', chunkBytes = 65_536): Promise<Buffer> {
  return await join(compress(parseCompression(method), 2)(chunked(bytes, chunkBytes)));
}

/** Decompresses as a restore does. */
export async function unpack(
  bytes: Buffer,
  method: 'zstd' | 'gzip' | 'none' = 'zstd',
  chunkBytes = 70_001,
): Promise<Buffer> {
  return await join(decompress(method, 2)(chunked(bytes, chunkBytes)));
}

/** SHA-256, in hex. */
export const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
