import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { type ByteStream, collect, streamOf } from '../../src/core/byte-stream.ts';
import { Secret } from '../../src/core/secret.ts';
import { openOpenPgpDecrypter } from '../../src/crypto/openpgp-decrypter.ts';
import { openOpenPgpEncrypter } from '../../src/crypto/openpgp-encrypter.ts';
import {
  chopped,
  decryptBytes,
  encryptBytes,
  encrypter,
  identity,
  readCertificateVector,
  readSecretVector,
} from './openpgp-objects.ts';

const maxBytes = 64 * 1024 * 1024;

async function* failing(): ByteStream {
  yield Buffer.alloc(200_000);
  throw new Error('pg_dump died');
}

describe('openOpenPgpEncrypter', () => {
  it('writes what the decrypter opens, for any size and any chunks', async () => {
    const data = randomBytes(300_000);
    const sizes = fc.oneof(
      fc.integer({ min: 0, max: data.byteLength }),
      // Around the parts of 64 KiB inside and outside, whose edges lie 6 bytes and a prefix apart.
      fc.tuple(fc.constantFrom(65_536, 131_072, 196_608), fc.integer({ min: -40, max: 40 })).map(([a, b]) => a + b),
    );
    await fc.assert(
      fc.asyncProperty(sizes, fc.integer({ min: 50, max: 150_000 }), async (size, chunkBytes) => {
        const plain = data.subarray(0, size);
        const message = await collect(encrypter.encrypt(identity)(chopped(plain, chunkBytes)), maxBytes);
        assert.ok(plain.equals(await decryptBytes(chopped(message, chunkBytes))));
      }),
      {
        numRuns: 40,
        examples: [
          [0, 100],
          [1, 100],
          [65_530, 65_536],
          [65_536, 65_536],
        ],
      },
    );
  });

  it('adds less than a kilobyte for one recipient, and nothing that grows but a byte per 32 KiB', async () => {
    const small = await encryptBytes(Buffer.alloc(10));
    const large = await encryptBytes(Buffer.alloc(10 * 1024 * 1024));
    assert.ok(small.byteLength < 1024);
    assert.ok(large.byteLength - 10 * 1024 * 1024 < 1024 + 10 * 32);
  });

  it('uses another session key for each object', async () => {
    const [one, two] = [await encryptBytes(Buffer.alloc(100)), await encryptBytes(Buffer.alloc(100))];
    assert.ok(!one.equals(two));
    assert.ok(!one.subarray(-120).equals(two.subarray(-120)));
  });

  it('lets each recipient and the passphrase open the message alone', async () => {
    const [ecc, locked] = [await readCertificateVector('ecc.cert.asc'), await readCertificateVector('locked.cert.asc')];
    const passphrase = Secret.fromText('drei Wörter 💾');
    const forAll = await openOpenPgpEncrypter({ recipients: [...ecc, ...locked], passphrase });
    const message = await collect(forAll.encrypt(identity)(streamOf('for all of you')), maxBytes);
    const ways = [
      { privateKeys: [await readSecretVector('ecc.key.asc')] },
      { privateKeys: [await readSecretVector('locked.key.asc')], keyPassphrase: Secret.fromText('locked key') },
      { privateKeys: [], passphrases: [Secret.fromText('another'), Secret.fromText('drei Wörter 💾')] },
    ];
    for (const way of ways) {
      const opened = await decryptBytes(message, await openOpenPgpDecrypter(way));
      assert.equal(opened.toString(), 'for all of you');
    }
    assert.deepEqual(forAll.description, {
      method: 'openpgp',
      profile: 'rfc4880',
      recipients: [ecc[0]?.fingerprint, locked[0]?.fingerprint],
      passphrase: true,
    });
  });

  it('encrypts with the passphrase it was given, even when the secret is disposed of before the first byte', async () => {
    const passphrase = Secret.fromText('short-lived');
    const byPassphrase = await openOpenPgpEncrypter({ recipients: [], passphrase });
    passphrase[Symbol.dispose]();
    const message = await collect(byPassphrase.encrypt(identity)(streamOf('data')), maxBytes);
    const by = await openOpenPgpDecrypter({ privateKeys: [], passphrases: [Secret.fromText('short-lived')] });
    assert.equal((await decryptBytes(message, by)).toString(), 'data');
  });

  it('names a certificate that was given twice once', async () => {
    const ecc = await readCertificateVector('ecc.cert.asc');
    const { description } = await openOpenPgpEncrypter({ recipients: [...ecc, ...ecc] });
    assert.equal(description.recipients.length, 1);
  });

  it('refuses to encrypt to nobody, and with a passphrase that is empty or no text', async () => {
    const secrets = [undefined, new Secret(new Uint8Array(0)), new Secret(Buffer.of(0xff, 0xfe))];
    for (const passphrase of secrets) {
      await assert.rejects(openOpenPgpEncrypter({ recipients: [], passphrase }), { kind: 'key' });
    }
  });

  it('passes on the error of its source', async () => {
    await assert.rejects(collect(encrypter.encrypt(identity)(failing()), maxBytes), { message: 'pg_dump died' });
  });

  it('releases its source when the consumer stops early', async () => {
    let isReleased = false;
    async function* endless(): ByteStream {
      try {
        for (;;) yield Buffer.alloc(100_000);
      } finally {
        isReleased = true;
      }
    }
    let chunks = 0;
    for await (const _chunk of encrypter.encrypt(identity)(endless())) if ((chunks += 1) === 5) break;
    assert.ok(isReleased);
  });
});
