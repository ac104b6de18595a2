import { streamOf } from '../core/byte-stream.ts';
import { ByteReader } from '../core/byte-reader.ts';
import { packetTag, readPacketBody, readPacketHeader } from './openpgp-packets.ts';

const armoredBlock = /-----BEGIN PGP (PUBLIC|PRIVATE) KEY BLOCK-----\r?\n[^]*?-----END PGP \1 KEY BLOCK-----/g;

/**
 * The binary form of every key block in a file: a file holds one binary block, or any number of armored ones with any
 * text around them. Empty when there is none. Throws openpgp.js's errors for a block that is damaged.
 */
export async function keyBlocks(bytes: Uint8Array): Promise<Uint8Array[]> {
  const isBinary = ((bytes[0] ?? 0) & 0x80) !== 0;
  if (isBinary) return [bytes];
  const { unarmor } = await import('openpgp');
  const armored = Buffer.from(bytes).toString('latin1').match(armoredBlock) ?? [];
  // Declared as a stream, which it is only when the armor is one.
  return await Promise.all(armored.map(async (block) => (await unarmor(block)).data as unknown as Uint8Array));
}

/** How many primary keys a binary block holds, whether or not anybody can read them. */
export async function countKeys(block: Uint8Array, name: string): Promise<number> {
  const reader = new ByteReader(streamOf(block));
  let keys = 0;
  for (let header; (header = await readPacketHeader(reader, name)) !== null;) {
    if (header.tag === packetTag.publicKey || header.tag === packetTag.secretKey) keys += 1;
    const body = new ByteReader(readPacketBody(reader, header, name));
    while ((await body.readSome(Infinity)).byteLength > 0);
  }
  return keys;
}
