import { createDecipheriv } from 'node:crypto';
import { BackupError } from '../core/backup-error.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import { ByteReader } from '../core/byte-reader.ts';
import { damagedMessage, packetTag, readPacketBody, readPacketHeader, truncated } from './openpgp-packets.ts';
import type { PacketHeader } from './openpgp-packets.ts';

/** An encrypted message up to its data: who can open it, and the start of what they would read. */
export interface Envelope {
  /** The session-key packets as they stand in the message. */
  readonly sessionKeyPackets: Buffer;
  readonly hasPassphrase: boolean;
  readonly dataTag: number;
  /** The body of the data packet, of which nothing was consumed. */
  readonly body: ByteReader;
  /** First octets of the body: version, encrypted prefix, first octet of the packets inside. */
  readonly head: Buffer;
}

/** A message for 500 recipients with keys of 4096 bits fits. */
const maxSessionKeyBytes = 512 * 1024;
const headBytes = 1 + 18 + 1;

/**
 * Reads an encrypted message to where its data begins. Fails with `integrity`: no OpenPGP message, not an encrypted one,
 * or one without integrity protection, which anybody could have changed.
 */
export async function readEnvelope(reader: ByteReader, name: string): Promise<Envelope> {
  const sessionKeyPackets: Buffer[] = [];
  let sizeBytes = 0;
  let hasPassphrase = false;
  for (;;) {
    const header = await readPacketHeader(reader, name);
    if (header === null) throw truncated(name);
    if (isData(header, name)) {
      const body = new ByteReader(onlyBody(reader, header, name));
      const head = await body.peek(headBytes);
      return { sessionKeyPackets: Buffer.concat(sessionKeyPackets), hasPassphrase, dataTag: header.tag, body, head };
    }
    const packet = await readSmallBody(reader, header, name);
    sizeBytes += packet.byteLength;
    if (sizeBytes > maxSessionKeyBytes) throw damagedMessage(name, 'has too many recipients');
    if (header.tag === packetTag.marker) continue;
    hasPassphrase ||= header.tag === packetTag.symmetricKeyEncryptedSessionKey;
    sessionKeyPackets.push(definitePacket(header.tag, packet));
  }
}

function isData({ tag }: PacketHeader, name: string): boolean {
  switch (tag) {
    case packetTag.encryptedWithIntegrity:
    case packetTag.encryptedWithAead:
      return true;
    case packetTag.publicKeyEncryptedSessionKey:
    case packetTag.symmetricKeyEncryptedSessionKey:
    case packetTag.marker:
      return false;
    case packetTag.encryptedWithoutIntegrity:
      throw new BackupError('integrity', `OpenPGP message "${name}" has no integrity protection (MDC)`, {
        hint: 'Decrypt it with "gpg --ignore-mdc-error" if you trust where it was kept.',
      });
    default:
      throw damagedMessage(name, 'is not an encrypted message');
  }
}

/** The body of the last packet: nothing may follow it. */
async function* onlyBody(reader: ByteReader, header: PacketHeader, name: string): ByteStream {
  yield* readPacketBody(reader, header, name);
  if (!(await reader.isAtEnd())) throw damagedMessage(name, 'is followed by other data');
}

async function readSmallBody(reader: ByteReader, header: PacketHeader, name: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of readPacketBody(reader, header, name)) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > maxSessionKeyBytes) throw damagedMessage(name, 'is damaged: a session key is too large');
    chunks.push(Buffer.from(chunk));
  }
  return Buffer.concat(chunks);
}

function definitePacket(tag: number, body: Buffer): Buffer {
  const header = Buffer.of(0xc0 | tag, 0xff, 0, 0, 0, 0);
  header.writeUInt32BE(body.byteLength, 2);
  return Buffer.concat([header, body]);
}

/** The ciphers of OpenPGP that node:crypto has, by openpgp.js's names. */
const nodeCiphers: Readonly<Record<string, { readonly name: string; readonly blockBytes: number }>> = {
  aes128: { name: 'aes-128-cfb', blockBytes: 16 },
  aes192: { name: 'aes-192-cfb', blockBytes: 16 },
  aes256: { name: 'aes-256-cfb', blockBytes: 16 },
  tripledes: { name: 'des-ede3-cfb', blockBytes: 8 },
};

export interface DecryptedHead {
  /** The two octets that repeat do (RFC 4880 5.13): with a wrong key that happens once in 65,536. */
  readonly isRepeated: boolean;
  /** First octet of the packets inside. */
  readonly firstOctet: number | undefined;
}

/** What a session key makes of the head, or `null` where we cannot tell: another cipher, another kind of packet. */
export function decryptHead(
  envelope: Envelope,
  key: { data: Uint8Array; algorithm: string | null },
): DecryptedHead | null {
  const cipher = nodeCiphers[key.algorithm ?? ''];
  const isVersion1 = envelope.dataTag === packetTag.encryptedWithIntegrity && envelope.head[0] === 1;
  if (cipher === undefined || !isVersion1) return null;
  const { name, blockBytes } = cipher;
  const head = createDecipheriv(name, key.data, Buffer.alloc(blockBytes)).update(envelope.head.subarray(1));
  const isRepeated = head.subarray(blockBytes - 2, blockBytes).equals(head.subarray(blockBytes, blockBytes + 2));
  return { isRepeated, firstOctet: head[blockBytes + 2] };
}
