import type { ByteStream } from './byte-stream.ts';

export interface PeekedStream {
  /** The first bytes; fewer than asked for only when the stream is shorter. */
  readonly head: Buffer;
  /** The whole stream, `head` included; to be iterated once. */
  readonly stream: ByteStream;
}

/** Looks at the beginning of a stream without taking it away. */
export async function peekStream(source: ByteStream, headBytes: number): Promise<PeekedStream> {
  const iterator = source[Symbol.asyncIterator]();
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  while (sizeBytes < headBytes) {
    const next = await iterator.next();
    if (next.done === true) break;
    chunks.push(Buffer.from(next.value));
    sizeBytes += next.value.byteLength;
  }
  const read = Buffer.concat(chunks);
  return { head: read.subarray(0, headBytes), stream: resume(read, iterator) };
}

async function* resume(read: Buffer, iterator: AsyncIterator<Uint8Array>): ByteStream {
  try {
    if (read.byteLength > 0) yield read;
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) yield next.value;
  } finally {
    await iterator.return?.();
  }
}
