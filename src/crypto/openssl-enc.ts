import { type Decipheriv, createDecipheriv, createHash, pbkdf2 } from 'node:crypto';
import { promisify } from 'node:util';
import { BackupError } from '../core/backup-error.ts';
import type { ByteStream, Stage } from '../core/byte-stream.ts';
import type { Secret } from '../core/secret.ts';
import { inBlocks } from './byte-blocks.ts';
import { ByteReader } from '../core/byte-reader.ts';
import { detectFormat } from './detect-format.ts';

/** How `openssl enc` made key and IV from the passphrase: `-md md5`, `-md sha256` or `-pbkdf2 [-iter N]`. */
export type OpenSslDerivation =
  | { readonly method: 'bytes-to-key'; readonly digest: 'md5' | 'sha256' }
  | { readonly method: 'pbkdf2'; readonly iterations: number };

export interface OpenSslEncOptions {
  /** Of which the first line is used, as `-pass file:` does; nobody needs to strip anything before. Raw bytes. */
  readonly passphrase: Secret;
  /** What messages call the file. */
  readonly name?: string | undefined;
  /** When left out, each is tried: SHA-256 (OpenSSL 1.1 and newer), PBKDF2, MD5 (older). */
  readonly derivation?: OpenSslDerivation | undefined;
  /** For PBKDF2 when it is tried; 10,000 is what openssl does without `-iter`. */
  readonly iterations?: number | undefined;
  /** Whether the first decrypted bytes can be the start of what was encrypted; any known format by default. */
  readonly looksPlausible?: ((firstBytes: Uint8Array) => boolean) | undefined;
}

const magic = 'Salted__';
const headerBytes = 16;
const cipherBlockBytes = 16;
const trialBytes = 4096;
const blockBytes = 64 * 1024;

/**
 * Decrypts what `openssl enc -aes-256-cbc -salt` wrote. Read only: NOTHING in this format is authenticated. Whoever
 * could write the file can have changed any of it, and a wrong byte comes out as 16 bytes of noise and one flipped byte;
 * the only thing checked is the padding at the very end. The last block is held back until then.
 *
 * Fails with `key` when no way to derive the key gives something plausible, with `integrity` when the file is not of
 * this format, is truncated, or its padding is wrong.
 */
export function decryptOpenSslEnc(options: OpenSslEncOptions): Stage {
  return (source) => decryptFile(source, options);
}

async function* decryptFile(source: ByteStream, options: OpenSslEncOptions): ByteStream {
  const name = options.name ?? 'openssl enc';
  const reader = new ByteReader(source);
  try {
    const salt = readSalt(await reader.read(headerBytes), name);
    const decipher = await chooseDecipher(await reader.peek(trialBytes), salt, options);
    // A block behind: the last one comes out with the padding checked, or not at all.
    let held: Buffer | null = null;
    for await (const block of inBlocks(reader.rest(), { blockBytes, buffers: 1 })) {
      if (held !== null) yield held;
      held = decipher.update(block);
    }
    const last = finish(decipher, name);
    if (held !== null) yield held;
    if (last.byteLength > 0) yield last;
  } finally {
    await reader.close();
  }
}

function readSalt(header: Buffer, name: string): Buffer {
  if (header.toString('latin1', 0, magic.length) !== magic) {
    throw new BackupError('integrity', `"${name}" was not written by "openssl enc -salt"`);
  }
  if (header.byteLength < headerBytes) throw truncated(name);
  return header.subarray(magic.length);
}

async function chooseDecipher(head: Buffer, salt: Buffer, options: OpenSslEncOptions): Promise<Decipheriv> {
  const { derivation, iterations = 10_000, looksPlausible = isKnownFormat, name = 'openssl enc' } = options;
  if (head.byteLength < cipherBlockBytes) throw truncated(name);
  const passphrase = firstLine(options.passphrase.reveal());
  if (derivation !== undefined) return await createDecipher(passphrase, salt, derivation);
  const derivations: OpenSslDerivation[] = [
    { method: 'bytes-to-key', digest: 'sha256' },
    { method: 'pbkdf2', iterations },
    { method: 'bytes-to-key', digest: 'md5' },
  ];
  for (const candidate of derivations) {
    const trial = await createDecipher(passphrase, salt, candidate);
    if (looksPlausible(firstPlaintext(trial, head))) return await createDecipher(passphrase, salt, candidate);
  }
  throw new BackupError('key', `the passphrase does not open "${name}"`, {
    hint: 'Check the passphrase, and with which options of openssl enc the file was written.',
  });
}

function isKnownFormat(firstBytes: Uint8Array): boolean {
  return detectFormat(firstBytes) !== 'unknown';
}

/** What `head` decrypts to; without the padding when it is all there is. */
function firstPlaintext(decipher: Decipheriv, head: Buffer): Buffer {
  const plaintext = decipher.update(head);
  if (head.byteLength === trialBytes) return plaintext;
  try {
    return Buffer.concat([plaintext, decipher.final()]);
  } catch {
    return plaintext;
  }
}

function firstLine(passphrase: Uint8Array): Uint8Array {
  const end = passphrase.indexOf('\n'.charCodeAt(0));
  return end === -1 ? passphrase : passphrase.subarray(0, end);
}

async function createDecipher(
  passphrase: Uint8Array,
  salt: Buffer,
  derivation: OpenSslDerivation,
): Promise<Decipheriv> {
  const bytes =
    derivation.method === 'pbkdf2'
      ? await promisify(pbkdf2)(passphrase, salt, derivation.iterations, 48, 'sha256')
      : bytesToKey(passphrase, salt, derivation.digest);
  return createDecipheriv('aes-256-cbc', bytes.subarray(0, 32), bytes.subarray(32, 48));
}

/** OpenSSL's EVP_BytesToKey with a count of 1: D[i] = digest(D[i-1] | passphrase | salt), as many as are needed. */
function bytesToKey(passphrase: Uint8Array, salt: Buffer, digest: 'md5' | 'sha256'): Buffer {
  let bytes = Buffer.alloc(0);
  let previous = Buffer.alloc(0);
  while (bytes.byteLength < 48) {
    previous = createHash(digest).update(previous).update(passphrase).update(salt).digest();
    bytes = Buffer.concat([bytes, previous]);
  }
  return bytes;
}

function finish(decipher: Decipheriv, name: string): Buffer {
  try {
    return decipher.final();
  } catch (error) {
    throw new BackupError('integrity', `"${name}" is truncated or damaged: its padding is wrong`, { cause: error });
  }
}

function truncated(name: string): BackupError {
  return new BackupError('integrity', `"${name}" is truncated`);
}
