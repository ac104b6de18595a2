import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { BackupError } from '../core/backup-error.ts';
import { decryptFernet, isFernetToken } from './fernet.ts';
import type { FieldKey, FieldKeyring } from './field-keyring.ts';
import { formatHeader, isToken, nonceBytes, parseToken, tagBytes } from './token.ts';
import type { Token } from './token.ts';

const algorithm = 'aes-256-gcm';

export interface EncryptOptions {
  /** What the value belongs to, such as `users.email`; decryption has to say the same. Never empty. */
  readonly context: string;
}

export interface DecryptOptions extends EncryptOptions {
  /** The oldest that a Fernet token may be; of any age by default. */
  readonly fernetTtlSeconds?: number | undefined;
  /** The current time, for that. */
  readonly now?: Date | undefined;
}

export interface RotationOptions {
  readonly maxAgeDays?: number | undefined;
  /** The current time, for that. */
  readonly now?: Date | undefined;
}

/**
 * A token of the value under the active key, in base64url and dots: AES-256-GCM with a random nonce, bound to the
 * context. The same value gives another token each time. Fails with `usage` without a context, or for text that has no
 * UTF-8.
 */
export function encryptField(keyring: FieldKeyring, plaintext: string | Uint8Array, options: EncryptOptions): string {
  const { active } = keyring;
  const header = formatHeader(active.id, active.version);
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv(algorithm, active.secret.reveal(), nonce, { authTagLength: tagBytes });
  cipher.setAAD(toAssociatedData(header, options));
  const body = [nonce, cipher.update(toBytes(plaintext)), cipher.final(), cipher.getAuthTag()];
  return header + Buffer.concat(body).toString('base64url');
}

/**
 * The value in a token, or in a Fernet token, which is bound to no context. Errors: `integrity` when the token was
 * altered, cut off, made for another context or (Fernet) is too old; `key` when its key is not in the keyring, with the
 * id of the key.
 */
export function decryptField(keyring: FieldKeyring, token: string, options: DecryptOptions): Buffer {
  assertContext(options);
  if (!isToken(token) && isFernetToken(token)) return decryptFernet(keyring.fernetKeys, token, options);
  const parsed = parseToken(token);
  const key = findFieldKey(keyring, parsed);
  const decipher = createDecipheriv(algorithm, key.secret.reveal(), parsed.nonce, { authTagLength: tagBytes });
  decipher.setAAD(toAssociatedData(parsed.header, options)).setAuthTag(parsed.tag);
  const plaintext = decipher.update(parsed.ciphertext);
  try {
    decipher.final();
  } catch {
    plaintext.fill(0);
    throw new BackupError('integrity', 'the token was altered, or it belongs to another context', {
      hint: 'Give the context that the value was encrypted with.',
    });
  }
  return plaintext;
}

/**
 * Whether to decrypt and encrypt anew: the active key did not make the token, or that key is older than `maxAgeDays` (then
 * rotate the keyring first; a key of unknown age is too old). Fernet tokens always are. Does not decrypt: a token that was
 * altered may pass. Fails with `integrity` for what is no token.
 */
export function needsRotation(token: string, keyring: FieldKeyring, options: RotationOptions = {}): boolean {
  if (!isToken(token) && isFernetToken(token)) return true;
  if (parseToken(token).keyId !== keyring.active.id) return true;
  const { maxAgeDays, now = new Date() } = options;
  if (maxAgeDays === undefined) return false;
  const { createdAt } = keyring.active;
  return createdAt === null || now.getTime() - createdAt.getTime() > maxAgeDays * 24 * 60 * 60 * 1000;
}

/** The header ends with its third dot, so no two pairs of header and context give the same bytes. */
function toAssociatedData(header: string, options: EncryptOptions): Buffer {
  assertContext(options);
  return Buffer.from(header + options.context, 'utf8');
}

function assertContext({ context }: EncryptOptions): void {
  if (typeof context === 'string' && context !== '' && context.isWellFormed()) return;
  throw new BackupError('usage', 'a field needs a context', { hint: 'Say what it belongs to, such as users.email.' });
}

function toBytes(plaintext: string | Uint8Array): Uint8Array {
  if (typeof plaintext !== 'string') return plaintext;
  if (plaintext.isWellFormed()) return Buffer.from(plaintext, 'utf8');
  throw new BackupError('usage', 'the value has half a surrogate pair, which UTF-8 cannot say');
}

function findFieldKey({ name, keys, destroyed }: FieldKeyring, { keyId, keyVersion }: Token): FieldKey {
  const key = keys.get(keyId);
  if (key !== undefined) return key;
  if (destroyed.has(keyId))
    throw new BackupError('key', `the token wants key ${keyId}, which ${name} says was destroyed`);
  const version = keyVersion === '' ? '' : ` (version ${keyVersion})`;
  throw new BackupError(
    'key',
    `the token wants key ${keyId}${version}; at hand: ${[...keys.keys()].join(', ')} of ${name}`,
    {
      hint: 'Give the keyring that has the key, or the version of the secret, beside the others.',
    },
  );
}
