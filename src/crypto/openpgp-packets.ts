import { BackupError } from '../core/backup-error.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import { inBlocks } from './byte-blocks.ts';
import type { ByteReader } from '../core/byte-reader.ts';

/** The packet types we handle ourselves (RFC 4880 4.3; tag 20 is GnuPG's AEAD packet of the crypto-refresh drafts). */
export const packetTag = {
  publicKeyEncryptedSessionKey: 1,
  symmetricKeyEncryptedSessionKey: 3,
  secretKey: 5,
  publicKey: 6,
  encryptedWithoutIntegrity: 9,
  marker: 10,
  literal: 11,
  encryptedWithIntegrity: 18,
  encryptedWithAead: 20,
} as const;

/** How much of a body one length octet announces; `isLast` is false for a partial length. */
interface BodyPart {
  readonly sizeBytes: number;
  readonly isLast: boolean;
}

export interface PacketHeader {
  readonly tag: number;
  /** First part of the body; the lengths of the others stand between the parts. */
  readonly firstPart: BodyPart;
}

/**
 * 64 KiB parts. Sizes from 16 KiB to 256 KiB cost the same CPU when measured, larger ones only memory. A power of two
 * that is at least the 512 bytes a first part must have.
 */
const partialBits = 16;

/**
 * One packet with a new-format header (RFC 4880 4.2.2): its body in partial lengths, or with a definite length when all
 * of it fits into one part. Each chunk it gives overwrites the one before.
 */
export async function* writePacket(tag: number, body: ByteStream): ByteStream {
  const partBytes = 2 ** partialBits;
  yield Uint8Array.of(0xc0 | tag);
  let isClosed = false;
  for await (const part of inBlocks(body, { blockBytes: partBytes, headroomBytes: 1, buffers: 1 })) {
    const sizeBytes = part.byteLength - 1;
    if (sizeBytes === partBytes) {
      part[0] = 0xe0 | partialBits;
      yield part;
    } else {
      isClosed = true;
      yield bodyLength(sizeBytes);
      yield part.subarray(1);
    }
  }
  if (!isClosed) yield bodyLength(0);
}

/** One-, two- and five-octet lengths (RFC 4880 4.2.2.1 to 4.2.2.3). */
function bodyLength(sizeBytes: number): Buffer {
  if (sizeBytes < 192) return Buffer.of(sizeBytes);
  if (sizeBytes < 8384) return Buffer.of(((sizeBytes - 192) >> 8) + 192, (sizeBytes - 192) & 0xff);
  const octets = Buffer.of(0xff, 0, 0, 0, 0);
  octets.writeUInt32BE(sizeBytes, 1);
  return octets;
}

/** The error for anything that is not the OpenPGP message it should be. `name` is the object's. */
export function damagedMessage(name: string, what: string, cause?: unknown): BackupError {
  return new BackupError('integrity', `OpenPGP message "${name}" ${what}`, { cause });
}

/** The next packet's header, old or new format, or `null` at the end of the data. */
export async function readPacketHeader(reader: ByteReader, name: string): Promise<PacketHeader | null> {
  const octet = await reader.readByte();
  if (octet === null) return null;
  if ((octet & 0x80) === 0) throw damagedMessage(name, 'is damaged: there is no packet where one must begin');
  if ((octet & 0x40) !== 0) return { tag: octet & 0x3f, firstPart: await readNewLength(reader, name) };
  return { tag: (octet >> 2) & 0x0f, firstPart: await readOldLength(reader, name, octet & 0x03) };
}

/** The body of the packet whose header was read last, in chunks as they come. Throws when the data ends before it. */
export async function* readPacketBody(reader: ByteReader, header: PacketHeader, name: string): ByteStream {
  for (let part = header.firstPart; ; part = await readNewLength(reader, name)) {
    for (let left = part.sizeBytes; left > 0;) {
      const chunk = await reader.readSome(left);
      if (chunk.byteLength === 0 && part.sizeBytes === Infinity) return;
      if (chunk.byteLength === 0) throw truncated(name);
      left -= chunk.byteLength;
      yield chunk;
    }
    if (part.isLast) return;
  }
}

async function readNewLength(reader: ByteReader, name: string): Promise<BodyPart> {
  const octet = await readOctet(reader, name);
  if (octet < 192) return { sizeBytes: octet, isLast: true };
  if (octet < 224) return { sizeBytes: ((octet - 192) << 8) + (await readOctet(reader, name)) + 192, isLast: true };
  if (octet < 255) return { sizeBytes: 2 ** (octet & 0x1f), isLast: false };
  return { sizeBytes: await readNumber(reader, name, 4), isLast: true };
}

/** Old-format lengths (RFC 4880 4.2.1); type 3 reaches to the end of the data. */
async function readOldLength(reader: ByteReader, name: string, lengthType: number): Promise<BodyPart> {
  if (lengthType === 3) return { sizeBytes: Infinity, isLast: true };
  return { sizeBytes: await readNumber(reader, name, 2 ** lengthType), isLast: true };
}

async function readOctet(reader: ByteReader, name: string): Promise<number> {
  const octet = await reader.readByte();
  if (octet === null) throw truncated(name);
  return octet;
}

async function readNumber(reader: ByteReader, name: string, octets: number): Promise<number> {
  const bytes = await reader.read(octets);
  if (bytes.byteLength < octets) throw truncated(name);
  return bytes.readUIntBE(0, octets);
}

export function truncated(name: string): BackupError {
  return damagedMessage(name, 'is truncated');
}
