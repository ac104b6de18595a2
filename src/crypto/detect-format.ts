export type FileFormat =
  | 'openpgp'
  | 'openpgp-armored'
  | 'openssl-salted'
  | 'aes-container'
  | 'zstd'
  | 'gzip'
  | 'pg-custom'
  | 'pg-plain-sql'
  | 'backup-contents'
  | 'unknown';

/**
 * What a file is, by its first bytes (a few hundred are enough, 16 the least that says much). Strict where a format has
 * no magic, so that bytes that make no sense are `unknown`: who tries keys on an old file tells the right one by this.
 */
export function detectFormat(firstBytes: Uint8Array): FileFormat {
  const head = Buffer.from(firstBytes.buffer, firstBytes.byteOffset, firstBytes.byteLength);
  for (const [format, isFormat] of detectors) if (isFormat(head)) return format;
  return 'unknown';
}

const detectors: readonly (readonly [FileFormat, (head: Buffer) => boolean])[] = [
  ['aes-container', (head) => startsWith(head, 'LRBKAES1')],
  ['openssl-salted', (head) => startsWith(head, 'Salted__')],
  ['pg-custom', (head) => startsWith(head, 'PGDMP')],
  ['backup-contents', (head) => startsWith(head, '{"format":"librelog-backup-contents"')],
  ['zstd', isZstd],
  ['gzip', isGzip],
  ['openpgp-armored', (head) => startsWith(head, '-----BEGIN PGP MESSAGE-----')],
  ['openpgp', isOpenPgp],
  ['pg-plain-sql', isPlainSql],
];

function startsWith(head: Buffer, magic: string): boolean {
  return head.toString('latin1', 0, magic.length) === magic;
}

/** A frame or a skippable frame (RFC 8878 3.1). */
function isZstd(head: Buffer): boolean {
  if (head.byteLength < 4) return false;
  const magic = head.readUInt32LE(0);
  return magic === 0xfd2fb528 || (magic & 0xfffffff0) >>> 0 === 0x184d2a50;
}

/** Deflate, and no flag that RFC 1952 reserves. */
function isGzip(head: Buffer): boolean {
  return head[0] === 0x1f && head[1] === 0x8b && head[2] === 8 && ((head[3] ?? 0xff) & 0xe0) === 0;
}

interface PacketStart {
  readonly tag: number;
  /** Octets before the body. */
  readonly headerBytes: number;
}

/** A packet that begins an encrypted message, with a version that exists (RFC 4880 4.2 and 5.1 to 5.13). */
function isOpenPgp(head: Buffer): boolean {
  const packet = packetStart(head);
  return packet !== null && packetBodies[packet.tag]?.(head.subarray(packet.headerBytes)) === true;
}

const packetBodies: Readonly<Record<number, (body: Buffer) => boolean>> = {
  // A session key for a recipient: the algorithm follows the version and the key id of eight octets.
  1: ([version, ...rest]) => version === 3 && isPublicKeyAlgorithm(rest[8]),
  // A session key for a passphrase: version and cipher.
  3: ([version = 0, cipher = 0xff]) => version >= 4 && version <= 6 && cipher <= 32,
  10: (body) => startsWith(body, 'PGP'),
  18: ([version, cipher = 0xff]) => version === 1 || (version === 2 && cipher <= 13),
  20: ([version]) => version === 1,
};

function packetStart(head: Buffer): PacketStart | null {
  const [first = 0, second = 0] = head;
  if ((first & 0x80) === 0) return null;
  if ((first & 0x40) === 0) return { tag: (first >> 2) & 0x0f, headerBytes: [2, 3, 5, 1][first & 0x03] ?? 1 };
  const isTwoOctets = second >= 192 && second < 224;
  return { tag: first & 0x3f, headerBytes: second === 255 ? 6 : isTwoOctets ? 3 : 2 };
}

/** RSA, ElGamal, ECDH, X25519, X448. */
function isPublicKeyAlgorithm(octet: number | undefined): boolean {
  return octet !== undefined && [1, 2, 3, 16, 18, 25, 26].includes(octet);
}

const startOfSql =
  /^\uFEFF?\s*(?:--(?!-)|\/\*|\\(?:restrict|connect|c|set|encoding)\s|(?:ALTER|BEGIN|COPY|CREATE|DROP|INSERT|SELECT|SET|START)\s)/i;

/** Text that begins like a script: a comment, a psql command, or a statement that dumps begin with. */
function isPlainSql(head: Buffer): boolean {
  return startOfSql.test(head.toString('utf8')) && head.every((octet) => isTextOctet(octet));
}

/** Printable ASCII, part of a character in UTF-8 or another encoding, tab, line feed, form feed, carriage return. */
function isTextOctet(octet: number): boolean {
  return octet >= 0x20 ? octet !== 0x7f : [9, 10, 12, 13].includes(octet);
}
