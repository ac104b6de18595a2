import { BackupError } from '../core/backup-error.ts';

export const tokenPrefix = 'lbf1';
export const nonceBytes = 12;
export const tagBytes = 16;

/** The parts of `lbf1.KEYID.KEYVERSION.BODY`; docs/fields.md is normative. */
export interface Token {
  /** Everything before the body, the last dot included: what is authenticated as it stands. */
  readonly header: string;
  readonly keyId: string;
  /** Empty where the source of the key keeps no versions. */
  readonly keyVersion: string;
  readonly nonce: Buffer;
  readonly ciphertext: Buffer;
  readonly tag: Buffer;
}

const shape = /^(?<header>lbf1\.(?<keyId>[0-9a-f]{16})\.(?<keyVersion>[A-Za-z0-9_-]*)\.)(?<body>[A-Za-z0-9_-]+)$/;

export function isToken(text: string): boolean {
  return text.startsWith(`${tokenPrefix}.`);
}

/** Fails with `integrity` when it is no token, or not written the one way that there is. */
export function parseToken(text: string): Token {
  // `$` alone would let a newline pass.
  const {
    header = '',
    keyId = '',
    keyVersion = '',
    body = '',
  } = (/\s/.test(text) ? null : shape.exec(text))?.groups ?? {};
  const bytes = decodeBase64url(body);
  const version = decodeBase64url(keyVersion);
  if (bytes === null || version === null || bytes.byteLength < nonceBytes + tagBytes) {
    throw new BackupError('integrity', 'the value is not a whole token: cut off, altered, or never encrypted');
  }
  return {
    header,
    keyId,
    keyVersion: version.toString('utf8'),
    nonce: bytes.subarray(0, nonceBytes),
    ciphertext: bytes.subarray(nonceBytes, -tagBytes),
    tag: bytes.subarray(-tagBytes),
  };
}

export function formatHeader(keyId: string, keyVersion: string): string {
  return `${tokenPrefix}.${keyId}.${Buffer.from(keyVersion, 'utf8').toString('base64url')}.`;
}

/** `null` for any text that encoding the bytes would not give: two texts for the same bytes would be two tokens. */
function decodeBase64url(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64url');
  return bytes.toString('base64url') === text ? bytes : null;
}
