import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { type ByteStream, collect, streamOf } from '../../src/core/byte-stream.ts';
import { Secret } from '../../src/core/secret.ts';
import { type OpenSslEncOptions, decryptOpenSslEnc } from '../../src/crypto/openssl-enc.ts';
import { chopped } from './openpgp-objects.ts';

const maxBytes = 1024 * 1024;
const readOld = async (name: string): Promise<Buffer> =>
  await readFile(new URL(`../vectors/old-scripts/${name}`, import.meta.url));
const dump = await readOld('dump.sql');
const passphrase = new Secret(await readOld('passphrase.txt'));

async function decrypt(file: Uint8Array | ByteStream, options: Partial<OpenSslEncOptions> = {}): Promise<Buffer> {
  const source = file instanceof Uint8Array ? streamOf(file) : file;
  return await collect(decryptOpenSslEnc({ passphrase, name: 'old.enc', ...options })(source), maxBytes);
}

describe('decryptOpenSslEnc', () => {
  for (const name of ['md5.sql.enc', 'sha256.sql.enc', 'pbkdf2.sql.enc']) {
    it(`opens ${name} without being told how it was made`, async () => {
      const file = await readOld(name);
      for (const chunkBytes of [1, 17, 4096, 100_000]) {
        assert.ok(dump.equals(await decrypt(chopped(file, chunkBytes))), `in chunks of ${chunkBytes}`);
      }
    });
  }

  it('opens a file with another count of iterations when that is told', async () => {
    const file = await readOld('pbkdf2-31000.sql.enc');
    assert.ok(dump.equals(await decrypt(file, { iterations: 31_000 })));
    assert.ok(dump.equals(await decrypt(file, { derivation: { method: 'pbkdf2', iterations: 31_000 } })));
    await assert.rejects(decrypt(file), { kind: 'key' });
  });

  it('opens a file with a compressed dump', async () => {
    assert.ok(dump.equals(gunzipSync(await decrypt(await readOld('gzip-sha256.sql.gz.enc')))));
  });

  it('uses the first line of the passphrase only, as openssl does', async () => {
    const stripped = Secret.fromText(passphrase.revealText().split('\n')[0] ?? '');
    assert.ok(dump.equals(await decrypt(await readOld('sha256.sql.enc'), { passphrase: stripped })));
  });

  it('asks what is plausible of the first bytes', async () => {
    const seen: string[] = [];
    const looksPlausible = (bytes: Uint8Array): boolean => {
      seen.push(Buffer.from(bytes).toString('latin1', 0, 2));
      return false;
    };
    await assert.rejects(decrypt(await readOld('sha256.sql.enc'), { looksPlausible }), { kind: 'key' });
    assert.equal(seen.length, 3);
    assert.equal(seen[0], '--');
  });

  it('says that the passphrase does not open it', async () => {
    for (const name of ['md5.sql.enc', 'sha256.sql.enc', 'pbkdf2.sql.enc']) {
      await assert.rejects(decrypt(await readOld(name), { passphrase: Secret.fromText('wrong') }), {
        kind: 'key',
        message: 'the passphrase does not open "old.enc"',
      });
    }
  });

  it('refuses every truncation, as far as the padding tells, and never gives the whole', async () => {
    const file = await readOld('sha256.sql.enc');
    for (let size = 0; size < file.byteLength; size += 1) {
      if (size % 16 === 0 && size > 16) continue;
      await assert.rejects(decrypt(file.subarray(0, size)), /truncated|not written by/, `cut to ${size} bytes`);
    }
  });

  it('holds back the end until the padding was checked', async () => {
    const file = await readOld('sha256.sql.enc');
    file.writeUInt8(file.readUInt8(file.byteLength - 17) ^ 0x55, file.byteLength - 17);
    const released: Uint8Array[] = [];
    await assert.rejects(
      async () => {
        for await (const chunk of decryptOpenSslEnc({ passphrase })(streamOf(file))) released.push(chunk);
      },
      { kind: 'integrity', message: /its padding is wrong/ },
    );
    assert.equal(released.length, 0);
  });

  it('refuses a file of another format, and an empty one', async () => {
    for (const file of [dump, Buffer.alloc(0), Buffer.from('Salted__'), Buffer.from('Salted__12345678')]) {
      await assert.rejects(decrypt(file), { kind: 'integrity' });
    }
  });

  it('passes on the error of its source and releases it when the consumer stops', async () => {
    const file = await readOld('sha256.sql.enc');
    let isReleased = false;
    async function* source(): ByteStream {
      try {
        yield file.subarray(0, 4500);
        throw new Error('the disk is gone');
      } finally {
        isReleased = true;
      }
    }
    await assert.rejects(decrypt(source()), { message: 'the disk is gone' });
    isReleased = false;
    const big = Buffer.concat([file, Buffer.alloc(200_000)]);
    async function* endless(): ByteStream {
      try {
        yield big;
        for (;;) yield Buffer.alloc(100_000);
      } finally {
        isReleased = true;
      }
    }
    for await (const _chunk of decryptOpenSslEnc({ passphrase })(endless())) break;
    assert.ok(isReleased);
  });
});
