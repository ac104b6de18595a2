import { BackupError } from '../core/backup-error.ts';
import { Secret } from '../core/secret.ts';

const keyBytes = 32;
const newline = 0x0a;

/**
 * The 32-byte key in a secret: hex, base64 or base64url text (with or without padding), on one line, where blank lines
 * and lines that start with `#` do not count; or 32 raw bytes, with or without a newline after them. Fails with `key`,
 * saying what was read, never the content. Text is never taken for raw bytes: 32 letters are a passphrase, or a
 * 16-byte key in hex, but not a random 32-byte key. The new secret is the caller's; `secret` stays its owner's.
 */
export function parseKeyMaterial(secret: Secret, name: string): Secret {
  const bytes = secret.reveal();
  const { key, form } = isText(bytes) ? decodeText(secret.revealText(), name) : decodeRaw(bytes);
  if (key.byteLength === keyBytes) return new Secret(key);
  const found = `${key.byteLength} ${key.byteLength === 1 ? 'byte' : 'bytes'} ${form}`;
  key.fill(0);
  throw wrongKey(name, found);
}

/**
 * The passphrase in a secret: its first line without the line end, as bytes. Fails with `key` when that is empty. The
 * new secret is the caller's; `secret` stays its owner's.
 */
export function parsePassphrase(secret: Secret, name: string): Secret {
  const bytes = secret.reveal();
  const lineEnd = bytes.indexOf(newline);
  const line = lineEnd === -1 ? bytes : bytes.subarray(0, lineEnd);
  const passphrase = line.at(-1) === 0x0d ? line.subarray(0, -1) : line;
  if (passphrase.byteLength === 0) throw new BackupError('key', `passphrase ${name} is empty`);
  return new Secret(Uint8Array.from(passphrase));
}

interface DecodedKey {
  readonly key: Uint8Array;
  readonly form: string;
}

/** Only printable ASCII and white space: 32 random bytes look like that once in 10^13 keys. */
function isText(bytes: Uint8Array): boolean {
  return bytes.every((byte) => (byte >= 0x20 && byte < 0x7f) || (byte >= 0x09 && byte <= 0x0d));
}

function decodeRaw(bytes: Uint8Array): DecodedKey {
  const hasNewline = bytes.byteLength === keyBytes + 1 && bytes.at(-1) === newline;
  return { key: Uint8Array.from(hasNewline ? bytes.subarray(0, keyBytes) : bytes), form: 'raw' };
}

function decodeText(text: string, name: string): DecodedKey {
  const lines = text.split('\n').map((line) => line.trim());
  const [line = '', ...more] = lines.filter((line) => line !== '' && !line.startsWith('#'));
  if (line === '') throw wrongKey(name, 'no key');
  if (more.length > 0) throw wrongKey(name, `${more.length + 1} lines of text`);
  if (/^(?:[0-9a-f]{2})+$/i.test(line)) return { key: Buffer.from(line, 'hex'), form: 'from hex' };
  // Buffer's base64 takes the URL-safe alphabet as well.
  if (/^[A-Za-z0-9+/_-]+={0,2}$/.test(line)) return { key: Buffer.from(line, 'base64'), form: 'from base64' };
  throw wrongKey(name, 'text that is neither hex nor base64');
}

function wrongKey(name: string, found: string): BackupError {
  return new BackupError('key', `key ${name} holds ${found}; an AES-256 key is 32 bytes, raw, in hex or in base64`, {
    hint: 'Make a key with `librelog-backup keys generate`, or give a passphrase as a passphrase.',
  });
}
