import { randomBytes } from 'node:crypto';
import type { ByteStream } from '../core/byte-stream.ts';
import { BackupError } from '../core/backup-error.ts';
import { ByteReader } from '../core/byte-reader.ts';
import type { Compression } from '../core/compression.ts';
import type { WrapContext } from '../core/key-wrapper.ts';
import { Secret } from '../core/secret.ts';
import type { WrappedKey } from '../core/wrapped-key.ts';
import { computeCommitment, decodeSalt, readAesHeader, verifyAesHeader, writeAesHeader } from './aes-header.ts';
import type { AesHeader } from './aes-header.ts';
import { decryptSegments, encryptSegments } from './aes-segments.ts';
import type { SegmentKeys } from './aes-segments.ts';
import type { Decrypter, Encrypter, ObjectIdentity } from './cipher.ts';
import { maxWrappedKeys } from './data-key.ts';
import { deriveKey } from './derive-key.ts';

const segmentBytes = 1_048_576;

/** What a manifest says of this encryption. */
export interface AesDescription {
  readonly method: 'aes-256-gcm-hkdf-1mb';
  readonly wrappedKeys: WrappedKey[];
}

export interface AesEncrypterOptions {
  /** 32 bytes, of this backup alone. Stays the caller's, who keeps it until the last stage has ended. */
  readonly dataKey: Secret;
  /** `dataKey`, wrapped; written into each object, so that each can be opened without its manifest. */
  readonly wrappedKeys: readonly WrappedKey[];
  readonly compression: Compression;
  /** Folder of the database in the store. */
  readonly label: string;
}

/**
 * Writes AES container version 1 (docs/format.md): a header of about 1 KB, then 16 bytes more per MiB of input. Fails
 * with `config` when there are no wrapped keys, or more than 16.
 */
export function createAesEncrypter(options: AesEncrypterOptions): Encrypter<AesDescription> {
  const count = options.wrappedKeys.length;
  if (count < 1 || count > maxWrappedKeys) {
    throw new BackupError('config', `AES-256 takes 1 to ${maxWrappedKeys} keys and passphrases, not ${count}`);
  }
  return {
    extension: 'aes',
    description: { method: 'aes-256-gcm-hkdf-1mb', wrappedKeys: [...options.wrappedKeys] },
    encrypt: (identity) => (plaintext) => encryptObject(plaintext, createHeader(options, identity), options.dataKey),
  };
}

/** Reads objects of the backup whose data key is given; the key stays the caller's. */
export function createAesDecrypter(options: { readonly dataKey: Secret }): Decrypter {
  return {
    decrypt: (identity) => (source) => decryptObject(source, options.dataKey, identity),
  };
}

export interface OpenAesObjectOptions {
  /** What messages call the object, e.g. `file "archive.dump.zst.aes"`. */
  readonly name: string;
  /** Finds the data key with the wrapped keys in the header (`unwrapDataKey`) and hands it over. */
  readonly unlock: (wrappedKeys: readonly WrappedKey[], context: WrapContext) => Promise<Secret>;
  /** Where known: which object this has to be. */
  readonly identity?: ObjectIdentity;
}

export interface OpenedAesObject {
  /** Authenticated. */
  readonly header: AesHeader;
  /** To be iterated once, which closes the source at its end, or when it is left early. Every byte is authenticated. */
  readonly plaintext: ByteStream;
}

/** Opens one object on its own, with what its header says. Errors: `integrity`, and those of `unlock`. */
export async function openAesObject(source: ByteStream, options: OpenAesObjectOptions): Promise<OpenedAesObject> {
  const { name } = options;
  const reader = new ByteReader(source);
  try {
    const read = await readAesHeader(reader, name);
    if (options.identity) checkIdentity(read.header, options.identity);
    using dataKey = await options.unlock(read.header.wrappedKeys, toWrapContext(read.header));
    verifyAesHeader(read, dataKey, name);
    const keys = createSegmentKeys(read.header, dataKey);
    return { header: read.header, plaintext: decryptPayload(reader, keys, name) };
  } catch (error) {
    await reader.close();
    throw error;
  }
}

/** Objects without a label were made when no key was bound to one. */
function toWrapContext({ backupId, label = '' }: AesHeader): WrapContext {
  return { backupId, label };
}

function createHeader(options: AesEncrypterOptions, identity: ObjectIdentity): AesHeader {
  const salt = randomBytes(32);
  return {
    suite: 'AES256_GCM_HKDF_1MB',
    segmentBytes,
    compression: options.compression,
    backupId: identity.backupId,
    label: options.label,
    objectName: identity.objectName,
    salt: salt.toString('base64'),
    commitment: computeCommitment(options.dataKey, salt).toString('base64'),
    wrappedKeys: [...options.wrappedKeys],
  };
}

async function* encryptObject(plaintext: ByteStream, header: AesHeader, dataKey: Secret): ByteStream {
  const keys = createSegmentKeys(header, dataKey);
  try {
    yield writeAesHeader(header, dataKey);
    yield* encryptSegments(plaintext, keys);
  } finally {
    keys.key.fill(0);
  }
}

async function* decryptObject(source: ByteStream, dataKey: Secret, identity: ObjectIdentity): ByteStream {
  const unlock = async (): Promise<Secret> => await Promise.resolve(new Secret(Uint8Array.from(dataKey.reveal())));
  const name = `object "${identity.objectName}"`;
  const { plaintext } = await openAesObject(source, { name, identity, unlock });
  yield* plaintext;
}

async function* decryptPayload(reader: ByteReader, keys: SegmentKeys, name: string): ByteStream {
  await using _reader = reader;
  try {
    yield* decryptSegments(reader.rest(), keys, name);
  } finally {
    keys.key.fill(0);
  }
}

function createSegmentKeys(header: AesHeader, dataKey: Secret): SegmentKeys {
  const associatedData = `librelog-backup/v1/${header.backupId}/${header.objectName}`;
  return {
    key: deriveKey(dataKey, decodeSalt(header), 'payload'),
    associatedData: Buffer.from(associatedData, 'utf8'),
    segmentBytes,
  };
}

/** Comes before the header is authenticated, so that a swapped object is named as such; it can only refuse. */
function checkIdentity(header: AesHeader, wanted: ObjectIdentity): void {
  if (header.backupId === wanted.backupId && header.objectName === wanted.objectName) return;
  throw new BackupError(
    'integrity',
    `object "${wanted.objectName}" of backup ${wanted.backupId} was swapped: ` +
      `it holds object "${header.objectName}" of backup ${header.backupId}`,
  );
}
