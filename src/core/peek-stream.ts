import { ByteReader } from './byte-reader.ts';
import type { ByteStream } from './byte-stream.ts';

export interface PeekedStream {
  /** The first bytes; fewer than asked for only when the stream is shorter. */
  readonly head: Buffer;
  /** The whole stream, `head` included; to be iterated once. */
  readonly stream: ByteStream;
}

/** Looks at the beginning of a stream without taking it away. */
export async function peekStream(source: ByteStream, headBytes: number): Promise<PeekedStream> {
  const reader = new ByteReader(source);
  const head = await reader.peek(headBytes);
  return { head, stream: readRest(reader) };
}

async function* readRest(reader: ByteReader): ByteStream {
  try {
    yield* reader.rest();
  } finally {
    await reader.close();
  }
}
