import { createDecipheriv, createHmac, timingSafeEqual } from 'node:crypto';
import { BackupError } from '../core/backup-error.ts';
import type { Secret } from '../core/secret.ts';

// github.com/fernet/spec, version 0x80: version ‖ time (8) ‖ IV (16) ‖ ciphertext ‖ HMAC (32), under a key of
// signing key (16) ‖ encryption key (16).
const version = 0x80;
const timeOffset = 1;
const ivOffset = 9;
const ciphertextOffset = 25;
const macBytes = 32;
const blockBytes = 16;
const halfKeyBytes = 16;

/** How far the clock of who made a token may be ahead of ours; other implementations allow the same. */
const maxClockSkewSeconds = 60;

export interface FernetAge {
  /** Tokens older than that are refused, as are those of the future; by default no age is. */
  readonly fernetTtlSeconds?: number | undefined;
  readonly now?: Date | undefined;
}

/** Whether a value looks like a Fernet token: the version and the upper half of the time stay the same until 2106. */
export function isFernetToken(text: string): boolean {
  return text.startsWith('gAAAAA');
}

/**
 * The message of a Fernet token. Nothing of it is believed or decrypted before its HMAC is verified. Errors: `key` without
 * Fernet keys; `integrity` when the token is malformed, when none of the keys made it or it was altered, or for its age.
 */
export function decryptFernet(keys: readonly Secret[], token: string, age: FernetAge): Buffer {
  if (keys.length === 0) {
    throw new BackupError('key', 'the value is a Fernet token, and no Fernet key is at hand', {
      hint: 'Name the key that it was made with as a Fernet key.',
    });
  }
  const bytes = decodeToken(token);
  const key = keys.find((key) => isMadeWith(key, bytes));
  if (key === undefined) throw new BackupError('integrity', 'the Fernet token was altered, or another key made it');
  checkAge(bytes, age);
  return decrypt(key, bytes);
}

function decodeToken(token: string): Buffer {
  const bytes = Buffer.from(token, 'base64url');
  // Padding is part of the format, but often lost; anything else that decodes to the same bytes is not the same token.
  const isBase64url =
    bytes.toString('base64url') === token.replace(/={1,2}$/, '') && (!token.endsWith('=') || token.length % 4 === 0);
  const ciphertextBytes = bytes.byteLength - ciphertextOffset - macBytes;
  const isWhole = ciphertextBytes >= blockBytes && ciphertextBytes % blockBytes === 0;
  if (isBase64url && isWhole && bytes[0] === version) return bytes;
  throw new BackupError('integrity', 'the value is not a whole Fernet token');
}

function isMadeWith(key: Secret, bytes: Buffer): boolean {
  const signingKey = key.reveal().subarray(0, halfKeyBytes);
  const mac = createHmac('sha256', signingKey).update(bytes.subarray(0, -macBytes)).digest();
  return timingSafeEqual(mac, bytes.subarray(-macBytes));
}

function checkAge(bytes: Buffer, { fernetTtlSeconds, now = new Date() }: FernetAge): void {
  if (fernetTtlSeconds === undefined) return;
  const madeSeconds = Number(bytes.readBigUInt64BE(timeOffset));
  const nowSeconds = Math.floor(now.getTime() / 1000);
  if (madeSeconds + fernetTtlSeconds < nowSeconds) {
    throw new BackupError('integrity', `the Fernet token is older than ${fernetTtlSeconds} s`);
  }
  if (madeSeconds > nowSeconds + maxClockSkewSeconds) {
    throw new BackupError('integrity', 'the Fernet token was made in the future', { hint: 'Set the clocks right.' });
  }
}

function decrypt(key: Secret, bytes: Buffer): Buffer {
  const encryptionKey = key.reveal().subarray(halfKeyBytes);
  const decipher = createDecipheriv('aes-128-cbc', encryptionKey, bytes.subarray(ivOffset, ciphertextOffset));
  try {
    return Buffer.concat([decipher.update(bytes.subarray(ciphertextOffset, -macBytes)), decipher.final()]);
  } catch {
    // Only who has the key can make such a token: there is no padding oracle behind a verified HMAC.
    throw new BackupError('integrity', 'the Fernet token has wrong padding: whoever made it made it wrong');
  }
}
