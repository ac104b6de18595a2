import { BackupError } from './backup-error.ts';

/**
 * Bytes in order. Chunks are never empty-handed promises of more: the end of the iteration means that the source was
 * whole; a source that cannot vouch for that throws instead. The consumer owns each chunk until it asks for the next.
 */
export type ByteStream = AsyncIterable<Uint8Array>;

/** One step of a pipeline: takes all bytes, gives all bytes, throws when it cannot vouch for them. */
export type Stage = (source: ByteStream) => ByteStream;

/** All bytes of a stream that is known to be small. Fails with `integrity` when it is larger than `maxBytes`. */
export async function collect(stream: ByteStream, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of stream) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > maxBytes) throw new BackupError('integrity', `object is larger than ${maxBytes} bytes`);
    chunks.push(Buffer.from(chunk));
  }
  return Buffer.concat(chunks, sizeBytes);
}

/** A stream of the chunks given. */
export async function* streamOf(...chunks: readonly (Uint8Array | string)[]): ByteStream {
  for (const chunk of chunks) yield typeof chunk === 'string' ? Buffer.from(chunk, 'utf8') : chunk;
}
