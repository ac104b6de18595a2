import type { ByteStream } from '../core/byte-stream.ts';
import { ByteReader } from '../core/byte-reader.ts';
import {
  damagedMessage,
  packetTag,
  readPacketBody,
  readPacketHeader,
  truncated,
  writePacket,
} from './openpgp-packets.ts';

/** Binary, no file name, no date (RFC 4880 5.9): the message says nothing about where the data came from. */
const literalHeader = Buffer.of('b'.charCodeAt(0), 0, 0, 0, 0, 0);
const dateBytes = 4;

/** `data` as one literal packet. */
export function writeLiteral(data: ByteStream): ByteStream {
  return writePacket(packetTag.literal, withHeader(data));
}

async function* withHeader(data: ByteStream): ByteStream {
  yield literalHeader;
  yield* data;
}

/** The data of the one literal packet that `packets` consists of. Anything before or after it is `integrity`. */
export async function* readLiteral(packets: ByteStream, name: string): ByteStream {
  const reader = new ByteReader(packets);
  try {
    const header = await readPacketHeader(reader, name);
    if (header?.tag !== packetTag.literal) throw damagedMessage(name, 'holds no plain data');
    const body = new ByteReader(readPacketBody(reader, header, name));
    await skipHeader(body, name);
    yield* body.rest();
    if (!(await reader.isAtEnd())) throw damagedMessage(name, 'has other packets after its data');
  } finally {
    await reader.close();
  }
}

async function skipHeader(body: ByteReader, name: string): Promise<void> {
  const [, nameBytes] = await body.read(2);
  if (nameBytes === undefined) throw truncated(name);
  const rest = await body.read(nameBytes + dateBytes);
  if (rest.byteLength < nameBytes + dateBytes) throw truncated(name);
}
