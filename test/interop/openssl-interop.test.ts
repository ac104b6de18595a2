import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { execa } from 'execa';
import { collect, streamOf } from '../../src/core/byte-stream.ts';
import { Secret } from '../../src/core/secret.ts';
import { decryptOpenSslEnc } from '../../src/crypto/openssl-enc.ts';

const maxBytes = 16 * 1024 * 1024;
const passphraseFile = 'das alte Paßwort\nand a second line';
const header = Buffer.from('--\n-- PostgreSQL database dump\n--\n');

let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'openssl-interop-'));
  await writeFile(join(folder, 'passphrase'), passphraseFile);
});

after(async () => {
  await rm(folder, { recursive: true });
});

async function encrypt(data: Uint8Array, args: readonly string[]): Promise<Buffer> {
  const always = ['enc', '-aes-256-cbc', '-salt', '-pass', `file:${join(folder, 'passphrase')}`];
  const { stdout } = await execa('openssl', [...always, ...args], {
    input: data,
    encoding: 'buffer',
    stripFinalNewline: false,
  });
  return Buffer.from(stdout);
}

describe('we open what openssl enc writes', () => {
  const derivations = [['-md', 'md5'], ['-md', 'sha256'], [], ['-pbkdf2'], ['-pbkdf2', '-md', 'sha256']];
  for (const args of derivations) {
    for (const size of [0, 1, 15, 16, 4000, 65_536, 1_000_000]) {
      it(`openssl enc ${args.join(' ')}: a dump of ${header.byteLength + size} bytes`, async () => {
        const data = Buffer.concat([header, Buffer.from(randomBytes(size).toString('base64').slice(0, size))]);
        const stage = decryptOpenSslEnc({ passphrase: Secret.fromText(passphraseFile) });
        assert.ok(data.equals(await collect(stage(streamOf(await encrypt(data, args))), maxBytes)));
      });
    }
  }

  it('an empty file, when told how it was made', async () => {
    const file = await encrypt(Buffer.alloc(0), ['-md', 'sha256']);
    const derivation = { method: 'bytes-to-key', digest: 'sha256' } as const;
    const stage = decryptOpenSslEnc({ passphrase: Secret.fromText(passphraseFile), derivation });
    assert.equal((await collect(stage(streamOf(file)), maxBytes)).byteLength, 0);
  });
});
