import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { Secret } from '../../src/core/secret.ts';
import { drawQrCode, maxQrCodeBytes } from '../../src/keys/qr-code.ts';
import { formatKeySheet, formatPrivateKeySheet, toKeyText } from '../../src/keys/recovery-sheet.ts';
import { checkLine, checkLines } from '../../src/keys/sheet-checks.ts';
import { readQrPng, readQrSvg } from '../support/qr-reader.ts';
import { randomLookingBytes } from '../support/test-bytes.ts';

const folder = await mkdtemp(join(tmpdir(), 'lb-sheet-'));
after(async () => await rm(folder, { recursive: true }));

describe('a QR code', () => {
  const contents: Readonly<Record<string, Uint8Array>> = {
    'a key in hex': toKeyText(new Secret(randomLookingBytes(32))).reveal(),
    'digits only, which other modes would pack': Buffer.from('0123456789'.repeat(6)),
    'bytes that are no text': randomLookingBytes(500),
    'as much as the largest holds': randomLookingBytes(maxQrCodeBytes),
  };

  for (const [name, content] of Object.entries(contents)) {
    it(`holds exactly what it was given: ${name}`, async () => {
      const code = await drawQrCode(new Secret(Uint8Array.from(content)));
      assert.ok(code !== null);
      const [png, svg] = [join(folder, 'code.png'), join(folder, 'code.svg')];
      await writeFile(png, code.png);
      await writeFile(svg, code.svg);
      assert.deepEqual(readQrPng(png), Buffer.from(content));
      assert.deepEqual(readQrSvg(svg), Buffer.from(content));
    });
  }

  it('is none where there is one byte more than the largest holds', async () => {
    assert.equal(await drawQrCode(new Secret(randomLookingBytes(maxQrCodeBytes + 1))), null);
  });
});

describe('the checks of a sheet', () => {
  it('are the first digits of SHA-256, over number and line without blanks, and over all lines', () => {
    const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
    assert.equal(checkLine('3f2a 9c01 77de 0b41', 2), sha256('2 3f2a9c0177de0b41').slice(0, 4));
    assert.equal(checkLines(['abc', '', 'def']), sha256('abcdef').slice(0, 16));
  });

  it('differ for the same line in another place', () => {
    assert.notEqual(checkLine('3f2a', 1), checkLine('3f2a', 2));
    assert.notEqual(checkLines(['ab', 'cd']), checkLines(['cd', 'ab']));
  });
});

describe('the page of a sheet', () => {
  const exportedAt = new Date('2026-11-23T23:14:05Z');
  const facts = { createdAt: null, exportedAt, hasQrCode: true };

  it('says so where nobody knows when the key was made', () => {
    const text = toKeyText(new Secret(randomLookingBytes(32)));
    const sheet = formatKeySheet({ ...facts, text, keyId: '0123456789abcdef' }).revealText();
    assert.match(sheet, /^Created {6}unknown$/m);
    assert.match(sheet, /^Exported {5}2026-11-23T23:14:05\.000Z, by librelog-backup \d+\.\d+\.\d+$/m);
  });

  it('is ASCII of at most 72 columns, whatever a user id holds', () => {
    const text = Secret.fromText(
      '-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nAAAA\n-----END PGP PRIVATE KEY BLOCK-----\n',
    );
    const userIds = [`Лев ${'x'.repeat(100)}`, 'one\nTHE KEY\u001b[2J'];
    for (const isLocked of [true, false]) {
      const key = { ...facts, text, fingerprint: 'A1B2'.repeat(16), userIds, isLocked };
      const sheet = formatPrivateKeySheet(key).revealText();
      assert.match(sheet, /^[\x20-\x7e\n]+$/);
      assert.ok(sheet.split('\n').every((line) => line.length <= 72));
      assert.match(sheet, /^User id {6}one\?THE KEY\?\[2J$/m);
    }
  });
});
