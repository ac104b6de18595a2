import { createCipheriv, createDecipheriv } from 'node:crypto';
import { Secret } from '../core/secret.ts';

const algorithm = 'id-aes256-wrap';
/** RFC 3394, 2.2.3.1: the default initial value, which unwrapping checks. */
const initialValue = Buffer.alloc(8, 0xa6);
const wrappedBytes = 40;

/** AES-256 Key Wrap (RFC 3394) of a 32-byte key, in base64. */
export function wrapKey(key: Secret, keyEncryptionKey: Secret): string {
  const cipher = createCipheriv(algorithm, keyEncryptionKey.reveal(), initialValue);
  return Buffer.concat([cipher.update(key.reveal()), cipher.final()]).toString('base64');
}

/** The wrapped key, or null when it was wrapped with another key or changed since. */
export function unwrapKey(wrapped: string, keyEncryptionKey: Secret): Secret | null {
  const bytes = Buffer.from(wrapped, 'base64');
  if (bytes.byteLength !== wrappedBytes) return null;
  const decipher = createDecipheriv(algorithm, keyEncryptionKey.reveal(), initialValue);
  try {
    // Wrapping is one step: a wrong check value fails in `update`, and `final` gives nothing.
    const key = decipher.update(bytes);
    decipher.final();
    return new Secret(key);
  } catch {
    return null;
  }
}
