import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod/v3';
import { BackupError } from '../core/backup-error.ts';
import { compressionSchema } from '../core/compression-schema.ts';
import type { Secret } from '../core/secret.ts';
import { wrappedKeySchema } from '../core/wrapped-key.ts';
import { maxWrappedKeys } from './data-key.ts';
import { deriveKey } from './derive-key.ts';
import type { ByteReader } from '../core/byte-reader.ts';

const magic = Buffer.from('LRBKAES1', 'ascii');
const macBytes = 32;
/** Far above any real header (one wrapped key takes about 300 bytes), far below what hurts to allocate. */
const maxJsonBytes = 64 * 1024;

const bytes32 = z.string().regex(/^[A-Za-z0-9+/]{43}=$/);

const aesHeaderSchema = z
  .object({
    suite: z.literal('AES256_GCM_HKDF_1MB'),
    /** Size of a full ciphertext segment. */
    segmentBytes: z.literal(1_048_576),
    compression: compressionSchema,
    backupId: z.string().regex(/^\d{8}T\d{6}Z-[0-9a-f]{6}$/),
    /** Folder of the database in the store. Services that wrap keys bind it to them. */
    label: z.string().min(1).optional(),
    objectName: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/),
    /** Salt of the object's key derivations. */
    salt: bytes32,
    /** Derived from data key and salt: fits no other data key, which GCM alone would not guarantee. */
    commitment: bytes32,
    wrappedKeys: z.array(wrappedKeySchema).min(1).max(maxWrappedKeys),
  })
  .strict();

/** Facts at the start of every `.aes` object, all of them public; docs/format.md, "AES container". */
export type AesHeader = Readonly<z.infer<typeof aesHeaderSchema>>;

/** A header as read: believe it only after `verifyAesHeader`. */
export interface ReadHeader {
  readonly header: AesHeader;
  /** Everything the MAC speaks for. */
  readonly macedBytes: Buffer;
  readonly mac: Buffer;
}

/** Magic, length, JSON and MAC. A header that could not be read again fails here, with `bug`. */
export function writeAesHeader(header: AesHeader, dataKey: Secret): Buffer {
  const json = Buffer.from(JSON.stringify(header), 'utf8');
  if (json.byteLength > maxJsonBytes || !aesHeaderSchema.safeParse(header).success) {
    throw new BackupError('bug', `header of object "${header.objectName}" could not be read again`);
  }
  const length = Buffer.alloc(4);
  length.writeUInt32BE(json.byteLength);
  const macedBytes = Buffer.concat([magic, length, json]);
  return Buffer.concat([macedBytes, computeMac(macedBytes, dataKey, header)]);
}

/** The value of the field `commitment` for a data key and salt. */
export function computeCommitment(dataKey: Secret, salt: Uint8Array): Buffer {
  return deriveKey(dataKey, salt, 'commitment');
}

/** Reads a header and leaves the reader at the payload. Fails with `integrity`; `name` is what messages call the object. */
export async function readAesHeader(reader: ByteReader, name: string): Promise<ReadHeader> {
  const start = await takeOrFail(reader, magic.byteLength + 4, name);
  checkMagic(start.subarray(0, magic.byteLength), name);
  const jsonBytes = start.readUInt32BE(magic.byteLength);
  if (jsonBytes > maxJsonBytes) throw damagedHeader(name, `${jsonBytes} bytes long`);
  const json = await takeOrFail(reader, jsonBytes, name);
  const mac = await takeOrFail(reader, macBytes, name);
  return { header: parseHeader(json, name), macedBytes: Buffer.concat([start, json]), mac };
}

/**
 * Fails with `integrity` unless the header was written by a holder of `dataKey` and not changed since. Both
 * comparisons take constant time and come before anything is decrypted.
 */
export function verifyAesHeader(read: ReadHeader, dataKey: Secret, name: string): void {
  const commitment = Buffer.from(read.header.commitment, 'base64');
  if (!timingSafeEqual(commitment, computeCommitment(dataKey, decodeSalt(read.header)))) {
    throw new BackupError('integrity', `${name} was encrypted under another data key, or its header was changed`);
  }
  if (!timingSafeEqual(read.mac, computeMac(read.macedBytes, dataKey, read.header))) {
    throw new BackupError('integrity', `${name} is not what was written: its header was changed`);
  }
}

export function decodeSalt(header: AesHeader): Buffer {
  return Buffer.from(header.salt, 'base64');
}

function computeMac(macedBytes: Uint8Array, dataKey: Secret, header: AesHeader): Buffer {
  const key = deriveKey(dataKey, decodeSalt(header), 'header-mac');
  const mac = createHmac('sha256', key).update(macedBytes).digest();
  key.fill(0);
  return mac;
}

async function takeOrFail(reader: ByteReader, sizeBytes: number, name: string): Promise<Buffer> {
  const bytes = await reader.read(sizeBytes);
  if (bytes.byteLength < sizeBytes) throw new BackupError('integrity', `${name} is cut: it ends inside its header`);
  return bytes;
}

function checkMagic(start: Buffer, name: string): void {
  if (start.equals(magic)) return;
  const familyBytes = magic.byteLength - 1;
  if (start.subarray(0, familyBytes).equals(magic.subarray(0, familyBytes))) {
    throw new BackupError('integrity', `${name} has an unknown container version`, {
      hint: 'Use a newer librelog-backup to read it, or check whether the file is damaged.',
    });
  }
  throw new BackupError('integrity', `${name} is not an AES-256 object of librelog-backup`);
}

function parseHeader(json: Buffer, name: string): AesHeader {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json));
  } catch {
    throw damagedHeader(name, 'not JSON');
  }
  const header = aesHeaderSchema.safeParse(value);
  if (header.success) return header.data;
  const fields = header.error.issues.map((issue) => issue.path.join('.') || 'header');
  throw damagedHeader(name, `wrong in ${[...new Set(fields)].join(', ')}`);
}

function damagedHeader(name: string, problem: string): BackupError {
  return new BackupError('integrity', `${name} has a damaged header: ${problem}`);
}
