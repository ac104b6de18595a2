import { createCipheriv, createHash } from 'node:crypto';
import type { ByteStream } from '../../src/core/byte-stream.ts';

/** Bytes without a pattern, the same for the same `seed`: a missing, doubled or swapped piece always shows. */
export function randomLookingBytes(sizeBytes: number, seed = 0): Buffer {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16));
  return cipher.update(Buffer.alloc(sizeBytes));
}

/** A body of `bytes` in chunks of the sizes given, over and over. Every chunk is the same buffer, used again. */
export async function* inReusedChunks(bytes: Buffer, sizes: readonly number[]): ByteStream {
  const shared = Buffer.alloc(Math.max(...sizes));
  for (let start = 0, step = 0; start < bytes.byteLength; step++) {
    const size = sizes[step % sizes.length] ?? 1;
    const chunk = bytes.subarray(start, start + size);
    shared.set(chunk);
    yield shared.subarray(0, chunk.byteLength);
    shared.fill(0xee);
    start += size;
  }
}

/** The bytes, and then a failure instead of the end. */
export async function* failingAfter(bytes: Uint8Array, error: Error): ByteStream {
  yield bytes;
  throw error;
}

/** Bytes in the number and then silence: a body that neither goes on nor ends. `onStalled` tells that it is there. */
export async function* stallingAfter(bytes: Uint8Array, onStalled: () => void): ByteStream {
  yield bytes;
  onStalled();
  await new Promise(() => {});
}

export async function readAll(stream: ByteStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

export async function listAll<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
