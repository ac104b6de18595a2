import { randomBytes, scrypt } from 'node:crypto';
import { BackupError } from '../core/backup-error.ts';
import { Secret } from '../core/secret.ts';
import type { WrappedKey } from '../core/wrapped-key.ts';

/** How a key-encryption key is derived from a passphrase: scrypt (RFC 7914) and its parameters. */
export type PassphraseKdf = Extract<WrappedKey, { provider: 'passphrase' }>['kdf'];

const saltBytes = 32;
const mebibyte = 1024 * 1024;
/** What a header may ask of us. Ours asks for 64 MiB, twice over (`createPassphraseKdf`); anybody may write a header. */
const maxMemoryBytes = 256 * mebibyte;
const maxWorkBytes = 1024 * mebibyte;

/** Parameters for a new wrapped key: as strong as OWASP's N=2^17, r=8, p=1 in half of the memory, with a fresh salt. */
export function createPassphraseKdf(): PassphraseKdf {
  return { name: 'scrypt', salt: randomBytes(saltBytes).toString('base64'), n: 65_536, r: 8, p: 2 };
}

/** The 32-byte key for a passphrase. Fails with `integrity` when the parameters are out of bounds. */
export async function derivePassphraseKey(passphrase: Secret, kdf: PassphraseKdf): Promise<Secret> {
  const salt = Buffer.from(kdf.salt, 'base64');
  checkKdf(kdf, salt);
  // OpenSSL counts N + 2 blocks of V, and p of B, against the limit.
  const maxmem = 128 * kdf.r * (kdf.n + kdf.p + 3);
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  scrypt(passphrase.reveal(), salt, 32, { N: kdf.n, r: kdf.r, p: kdf.p, maxmem }, (error, key) => {
    if (error) reject(error);
    else resolve(key);
  });
  return new Secret(await promise);
}

/** Before any memory is asked for: a hostile header could name parameters that take 100 GB or a week. */
function checkKdf(kdf: PassphraseKdf, salt: Buffer): void {
  const memoryBytes = 128 * kdf.n * kdf.r;
  const isPowerOfTwo = Number.isInteger(Math.log2(kdf.n));
  const isBounded = memoryBytes <= maxMemoryBytes && memoryBytes * kdf.p <= maxWorkBytes;
  if (isPowerOfTwo && isBounded && salt.byteLength === saltBytes) return;
  throw new BackupError('integrity', `passphrase parameters are out of bounds: N=${kdf.n}, r=${kdf.r}, p=${kdf.p}`, {
    hint: 'Suspect a damaged or forged header; this program never writes such parameters.',
  });
}
