import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { BackupError } from '../core/backup-error.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import { freeChunk } from '../core/free-chunk.ts';

/**
 * Tink's streaming AEAD "AES-GCM-HKDF streaming", bit for bit, with 32-byte derived keys and SHA-256
 * (developers.google.com/tink/streaming-aead/aes_gcm_hkdf_streaming): a 40-byte header, then AES-256-GCM segments whose
 * nonces count them and mark the last, so none can be dropped, added, repeated or moved.
 */
export interface SegmentKeys {
  /** Tink's input key material: 32 bytes. */
  readonly key: Uint8Array;
  readonly associatedData: Uint8Array;
  /** Size of a full ciphertext segment, its tag included. The first one makes room for the header. */
  readonly segmentBytes: number;
}

const saltBytes = 32;
const noncePrefixBytes = 7;
const tagBytes = 16;
/** Header: its own length in one byte, the salt, the nonce prefix. */
const headerBytes = 1 + saltBytes + noncePrefixBytes;

/** Size of the ciphertext of `plainBytes` bytes: header, segments and tags. */
export function ciphertextSize(plainBytes: number, segmentBytes: number): number {
  const afterFirst = Math.max(0, plainBytes - (segmentBytes - headerBytes - tagBytes));
  const segments = 1 + Math.ceil(afterFirst / (segmentBytes - tagBytes));
  return headerBytes + plainBytes + segments * tagBytes;
}

/** Encrypts a stream under a fresh salt and nonce prefix. */
export async function* encryptSegments(plaintext: ByteStream, keys: SegmentKeys): ByteStream {
  const salt = randomBytes(saltBytes);
  const nonce = createNonce(randomBytes(noncePrefixBytes));
  const segmentKey = deriveSegmentKey(keys, salt);
  try {
    yield Buffer.concat([Buffer.of(headerBytes), salt, nonce.subarray(0, noncePrefixBytes)]);
    const maxBytes = keys.segmentBytes - tagBytes;
    for await (const segment of splitIntoSegments(plaintext, { first: maxBytes - headerBytes, others: maxBytes })) {
      const cipher = createCipheriv('aes-256-gcm', segmentKey, setNonce(nonce, segment), { authTagLength: tagBytes });
      const encrypted = cipher.update(segment.bytes);
      cipher.final();
      if (encrypted.byteLength > 0) yield encrypted;
      freeChunk(encrypted);
      yield cipher.getAuthTag();
    }
  } finally {
    segmentKey.fill(0);
  }
}

/**
 * Decrypts a stream; every byte it gives is authenticated. Throws `integrity` at the first segment that is not the
 * writer's at its place, and at the end when the last segment is missing. `name` is what messages call the object.
 */
export async function* decryptSegments(ciphertext: ByteStream, keys: SegmentKeys, name: string): ByteStream {
  const sizes = { first: keys.segmentBytes, others: keys.segmentBytes };
  let segmentKey: Buffer | undefined;
  let nonce: Buffer = Buffer.alloc(0);
  try {
    for await (const segment of splitIntoSegments(ciphertext, sizes)) {
      let body = segment.bytes;
      if (segmentKey === undefined) {
        const header = checkHeader(body, name);
        segmentKey = deriveSegmentKey(keys, header.subarray(1, 1 + saltBytes));
        nonce = createNonce(header.subarray(1 + saltBytes));
        body = body.subarray(headerBytes);
      }
      const plaintext = decryptSegment({ ...segment, bytes: body }, segmentKey, setNonce(nonce, segment));
      if (plaintext === null) throw notAuthentic(segment, name);
      if (plaintext.byteLength > 0) yield plaintext;
      freeChunk(plaintext);
    }
  } finally {
    segmentKey?.fill(0);
  }
}

interface Segment {
  /** A view of a buffer that the next segment overwrites. */
  readonly bytes: Buffer;
  readonly index: number;
  readonly isLast: boolean;
}

/**
 * Cuts a stream into pieces of exactly the sizes given, the last one shorter or full. A piece is held until more bytes
 * or the end follow, for its nonce says whether it is the last. Only an empty stream has an empty piece.
 */
async function* splitIntoSegments(
  source: ByteStream,
  sizes: { readonly first: number; readonly others: number },
): AsyncIterable<Segment> {
  const buffer = Buffer.allocUnsafe(Math.max(sizes.first, sizes.others));
  let capacity = sizes.first;
  let filled = 0;
  let index = 0;
  for await (const chunk of source) {
    for (let offset = 0; offset < chunk.byteLength;) {
      if (filled === capacity) {
        yield { bytes: buffer.subarray(0, filled), index, isLast: false };
        index += 1;
        filled = 0;
        capacity = sizes.others;
      }
      const taken = chunk.subarray(offset, offset + capacity - filled);
      buffer.set(taken, filled);
      filled += taken.byteLength;
      offset += taken.byteLength;
    }
  }
  yield { bytes: buffer.subarray(0, filled), index, isLast: true };
}

function deriveSegmentKey(keys: SegmentKeys, salt: Uint8Array): Buffer {
  return Buffer.from(hkdfSync('sha256', keys.key, salt, keys.associatedData, 32));
}

function createNonce(prefix: Uint8Array): Buffer {
  const nonce = Buffer.alloc(noncePrefixBytes + 5);
  nonce.set(prefix);
  return nonce;
}

/** Prefix, segment number (32 bits, throws rather than wraps around after 4 PiB), last-segment flag. */
function setNonce(nonce: Buffer, segment: Segment): Buffer {
  nonce.writeUInt32BE(segment.index, noncePrefixBytes);
  nonce.writeUInt8(segment.isLast ? 1 : 0, noncePrefixBytes + 4);
  return nonce;
}

function checkHeader(firstSegment: Buffer, name: string): Buffer {
  if (firstSegment.byteLength < headerBytes + tagBytes) {
    throw new BackupError('integrity', `${name} is cut: its payload ends before the first segment does`);
  }
  if (firstSegment[0] !== headerBytes) throw new BackupError('integrity', `${name} has a damaged payload header`);
  return Buffer.from(firstSegment.subarray(0, headerBytes));
}

/** The plaintext, or null when the tag does not fit: then nothing of the segment is to be believed. */
function decryptSegment(segment: Segment, key: Buffer, nonce: Buffer): Buffer | null {
  const end = segment.bytes.byteLength - tagBytes;
  // Tink's encoding never ends in an empty segment; only an empty message has one, the first.
  if (end < 0 || (end === 0 && segment.index > 0)) return null;
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes });
  decipher.setAuthTag(segment.bytes.subarray(end));
  const plaintext = decipher.update(segment.bytes.subarray(0, end));
  try {
    decipher.final();
  } catch {
    plaintext.fill(0);
    return null;
  }
  return plaintext;
}

function notAuthentic(segment: Segment, name: string): BackupError {
  const place = segment.isLast ? `the last segment (${segment.index})` : `segment ${segment.index}`;
  const reasons = segment.isLast ? 'changed, or cut, or followed by other data' : 'changed, or not in its place';
  return new BackupError('integrity', `${name} is not what was written: ${place} was ${reasons}`);
}
