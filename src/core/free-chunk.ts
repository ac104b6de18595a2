import type { ByteStream } from './byte-stream.ts';

/**
 * Gives the memory of a chunk back at once, instead of when the garbage collector finds it: what passes through us would
 * make that run a hundred times for each gigabyte, which took a third of the CPU of a restore. Only for a chunk whose
 * memory is nobody else's and whose consumer has asked for the next one; it is empty afterwards.
 */
export function freeChunk({ buffer }: Uint8Array): void {
  // Small ones may lie in the pool that Node cuts buffers from, with others.
  if (buffer instanceof ArrayBuffer && buffer.byteLength > Buffer.poolSize) buffer.transfer(0);
}

/** The chunks of `source`, each of which is freed when the next one is asked for. */
export async function* freeAfterUse(source: ByteStream): ByteStream {
  for await (const chunk of source) {
    yield chunk;
    freeChunk(chunk);
  }
}
