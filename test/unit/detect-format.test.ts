import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { formatContents } from '../../src/catalog/contents.ts';
import { type FileFormat, detectFormat } from '../../src/crypto/detect-format.ts';

const vectors = new URL('../vectors/', import.meta.url);

async function readHeads(folder: string, suffix: string): Promise<[string, Buffer][]> {
  const names = (await readdir(new URL(folder, vectors))).filter((name) => name.endsWith(suffix));
  assert.ok(names.length > 0);
  const read = async (name: string): Promise<[string, Buffer]> => [
    name,
    (await readFile(new URL(`${folder}/${name}`, vectors))).subarray(0, 512),
  ];
  return await Promise.all(names.map(read));
}

describe('detectFormat', () => {
  it('knows the frozen files', async () => {
    const folders = [
      ['openpgp', '.gpg', 'openpgp'],
      ['openpgp', '.pgp', 'openpgp'],
      ['openpgp', 'armored.asc', 'openpgp-armored'],
      ['openpgp', '.sql', 'pg-plain-sql'],
      ['old-scripts', '.enc', 'openssl-salted'],
      ['v1', '.aes', 'aes-container'],
    ] as const;
    for (const [folder, suffix, format] of folders) {
      for (const [name, head] of await readHeads(folder, suffix)) assert.equal(detectFormat(head), format, name);
    }
  });

  const samples: readonly (readonly [FileFormat, string, Uint8Array | string])[] = [
    ['zstd', 'a frame', zstdCompressSync('data')],
    ['zstd', 'a skippable frame', Buffer.from('5e2a4d1804000000', 'hex')],
    ['gzip', 'gzip', gzipSync('data')],
    ['pg-custom', 'a custom-format archive', Buffer.from('PGDMP\x01\x0f\x00\x04\x08')],
    [
      'pg-plain-sql',
      'what pg_dump writes',
      '--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\nSET statement_timeout = 0;\n',
    ],
    ['pg-plain-sql', 'a statement in any case', '\n  create table "größe" (id int);\r\n'],
    ['pg-plain-sql', 'a psql command', '\\connect other\n'],
    ['pg-plain-sql', 'a script with a byte order mark', '\uFEFFSET client_encoding = 1;'],
    ['pg-plain-sql', 'LATIN1 text', Buffer.from('-- Gr\xf6\xdfe\nSELECT 1;', 'latin1')],
    ['backup-contents', 'the contents of a backup of several streams', formatContents([])],
    ['unknown', 'nothing', ''],
    ['unknown', 'prose', 'Dear colleague, the backup is attached.'],
    ['unknown', 'a word that only begins like a statement', 'SETTINGS = none'],
    ['unknown', 'SQL with control characters', '--\n\x00\x01\x02'],
    ['unknown', 'an armored key', '-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n'],
    ['unknown', 'a binary key', Buffer.from([0x99, 0x01, 0x0d, 0x04, 0x5f])],
    ['unknown', 'gzip with reserved flags', Buffer.from([0x1f, 0x8b, 8, 0xff])],
  ];
  for (const [format, what, bytes] of samples) {
    it(`calls ${what} ${format}`, () => {
      assert.equal(detectFormat(Buffer.from(bytes)), format);
    });
  }

  it('takes noise for something less than once in a thousand times', () => {
    let taken = 0;
    for (let run = 0; run < 20_000; run += 1) if (detectFormat(randomBytes(64)) !== 'unknown') taken += 1;
    assert.ok(taken < 20, String(taken));
  });
});
