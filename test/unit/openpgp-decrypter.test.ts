import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type ByteStream, collect, streamOf } from '../../src/core/byte-stream.ts';
import { Secret } from '../../src/core/secret.ts';
import { ByteReader } from '../../src/core/byte-reader.ts';
import { openOpenPgpDecrypter } from '../../src/crypto/openpgp-decrypter.ts';
import { readEnvelope } from '../../src/crypto/openpgp-envelope.ts';
import { decryptByLibrary } from '../../src/crypto/openpgp-library-stage.ts';
import { packetTag, writePacket } from '../../src/crypto/openpgp-packets.ts';
import { readPrivateKeys } from '../../src/crypto/openpgp-private-keys.ts';
import { openSessionKey } from '../../src/crypto/openpgp-session-key.ts';
import {
  decryptBytes,
  decrypter,
  identity,
  chopped,
  encryptBytes,
  passphrase,
  readSecretVector,
  readVector,
} from './openpgp-objects.ts';

const maxBytes = 64 * 1024 * 1024;
const dump = await readVector('dump.sql');
const nobody = await openOpenPgpDecrypter({ privateKeys: [] });

const vectors = [
  'ours.pgp',
  'ecc-default.gpg',
  'ecc-none.gpg',
  'ecc-zip.gpg',
  'ecc-zlib.gpg',
  'ecc-bzip2.gpg',
  'ecc-signed.gpg',
  'ecc-armored.asc',
  'ecc-hidden.gpg',
  'ecc-3des.gpg',
  'ecc-cast5.gpg',
  'ecc-symmetric.gpg',
  'locked-zlib.gpg',
  'both.gpg',
  'symmetric.gpg',
  'symmetric-aes256-bzip2.gpg',
  'symmetric-cast5.gpg',
];

describe('openOpenPgpDecrypter opens what was frozen', () => {
  for (const name of vectors) {
    it(name, async () => {
      const message = await readVector(name);
      for (const chunkBytes of [1, 1000, 1_000_000]) {
        assert.ok(dump.equals(await decryptBytes(chopped(message, chunkBytes))), `in chunks of ${chunkBytes}`);
      }
    });
  }
});

/** The same message by openpgp.js alone. */
async function decryptBytesByLibrary(message: Uint8Array): Promise<Buffer> {
  const name = 'test';
  const envelope = await readEnvelope(new ByteReader(streamOf(message)), name);
  const privateKeys = await readPrivateKeys([await readSecretVector('ecc.key.asc')]);
  const keyring = {
    privateKeys,
    unlock: async (key: (typeof privateKeys)[number]) => await Promise.resolve(key),
    passphrases: [],
    takesPassphrase: true,
  };
  const sessionKey = await openSessionKey(envelope, keyring, name);
  const packet = writePacket(envelope.dataTag, envelope.body.rest());
  return await collect(decryptByLibrary(packet, { sessionKey, name, stallTimeoutMs: 1000 }), maxBytes);
}

describe('our own stage and openpgp.js', () => {
  const sizes = [0, 1, 65_500, 65_536, 200_000];
  for (const size of sizes) {
    it(`read the same from our message of ${size} bytes`, async () => {
      const plain = Buffer.alloc(size, 'some data, ');
      const message = await encryptBytes(plain);
      assert.ok(plain.equals(await decryptBytes(message)));
      assert.ok(plain.equals(await decryptBytesByLibrary(message)));
    });
  }

  it('read the same from an uncompressed message of gpg', async () => {
    assert.ok(dump.equals(await decryptBytesByLibrary(await readVector('ecc-none.gpg'))));
  });

  it('both refuse a changed byte', async () => {
    const message = await encryptBytes(Buffer.alloc(5000));
    message.writeUInt8(message.readUInt8(3000) ^ 1, 3000);
    await assert.rejects(decryptBytes(message), { kind: 'integrity' });
    await assert.rejects(decryptBytesByLibrary(message), { kind: 'integrity' });
  });
});

/** What came out before the error, which must be one of ours. */
async function openDamaged(message: Uint8Array): Promise<{ released: Buffer; kind: string | null }> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of decrypter.decrypt(identity)(streamOf(message))) chunks.push(Buffer.from(chunk));
  } catch (error) {
    assert.ok(error instanceof Error && error.name === 'BackupError', String(error));
    return { released: Buffer.concat(chunks), kind: (error as Error & { kind: string }).kind };
  }
  return { released: Buffer.concat(chunks), kind: null };
}

const flipped = (message: Buffer, index: number): Buffer => {
  const copy = Buffer.from(message);
  copy.writeUInt8(copy.readUInt8(index) ^ (1 << (index % 8)), index);
  return copy;
};

describe('openOpenPgpDecrypter refuses what was damaged', () => {
  const small = Buffer.from('COPY public.t (a) FROM stdin;\n1\n2\n\\.\n');

  it('every truncation of a small message', async () => {
    const message = await encryptBytes(small);
    for (let size = 0; size < message.byteLength; size += 1) {
      const { kind } = await openDamaged(message.subarray(0, size));
      assert.equal(kind, 'integrity', `cut to ${size} bytes`);
    }
  });

  it('every flipped bit of a small message, and never the end of it', async () => {
    const message = await encryptBytes(small);
    for (let index = 0; index < message.byteLength; index += 1) {
      const { kind, released } = await openDamaged(flipped(message, index));
      assert.ok(kind === 'integrity' || kind === 'key', `byte ${index}: ${kind}`);
      assert.equal(released.byteLength, 0, `byte ${index}`);
    }
  });

  for (const name of vectors) {
    it(`${name}, cut or changed anywhere, without hanging`, async () => {
      const message = await readVector(name);
      const step = name.startsWith('symmetric') || name === 'ours.pgp' ? 1201 : 211;
      for (let index = 0; index < message.byteLength; index += step) {
        assert.notEqual((await openDamaged(message.subarray(0, index))).kind, null, `cut to ${index} bytes`);
        const { kind, released } = await openDamaged(flipped(message, index));
        assert.ok(kind !== null || released.equals(dump), `byte ${index}`);
        assert.ok(kind === null || released.byteLength < dump.byteLength, `byte ${index} released everything`);
      }
    });
  }

  it('whatever follows the message', async () => {
    for (const name of vectors) {
      const message = await readVector(name);
      for (const tail of [Buffer.of(0), Buffer.from('x'), message]) {
        assert.equal((await openDamaged(Buffer.concat([message, tail]))).kind, 'integrity', name);
      }
    }
  });

  it('holds back the end of a large message until its MDC was checked', async () => {
    const plain = Buffer.alloc(1_000_000, 'data');
    const message = await encryptBytes(plain);
    const { kind, released } = await openDamaged(flipped(message, message.byteLength - 1));
    assert.equal(kind, 'integrity');
    assert.ok(released.byteLength > 0, 'streams');
    assert.ok(released.byteLength < plain.byteLength - 1000, `released ${released.byteLength}`);
  });
});

describe('openOpenPgpDecrypter refuses what is no encrypted message', () => {
  it('nothing, text, a key, and a signature', async () => {
    const inputs = [Buffer.alloc(0), dump, await readVector('ecc.cert.asc'), await readVector('dump.sql.sig.asc')];
    for (const input of inputs) await assert.rejects(decryptBytes(input), { kind: 'integrity' });
  });

  it('a message that is only packed, not encrypted', async () => {
    const literal = await collect(
      writePacket(packetTag.literal, streamOf(Buffer.of(0x62, 0, 0, 0, 0, 0), 'data')),
      maxBytes,
    );
    await assert.rejects(decryptBytes(literal), { kind: 'integrity', message: /is not an encrypted message/ });
  });

  it('a message without integrity protection', async () => {
    const message = await encryptBytes(Buffer.from('data'));
    const start = 2 + message.readUInt8(1); // after the one session-key packet
    assert.equal(message[start], 0xc0 | packetTag.encryptedWithIntegrity);
    message.writeUInt8(0xc0 | packetTag.encryptedWithoutIntegrity, start);
    await assert.rejects(decryptBytes(message), { kind: 'integrity', message: /no integrity protection/ });
  });

  it('an encrypted packet that names no recipient', async () => {
    const packet = await collect(
      writePacket(packetTag.encryptedWithIntegrity, streamOf(Buffer.alloc(100, 1))),
      maxBytes,
    );
    await assert.rejects(decryptBytes(packet), { kind: 'integrity', message: /neither recipients nor a passphrase/ });
  });
});

describe('openOpenPgpDecrypter says which key is missing', () => {
  it('names the key ids of the recipients', async () => {
    const locked = await openOpenPgpDecrypter({ privateKeys: [await readSecretVector('locked.key.asc')] });
    await assert.rejects(decryptBytes(await readVector('ecc-zlib.gpg'), locked), {
      kind: 'key',
      message: /^OpenPGP message "archive\.dump\.pgp" is encrypted for key ids [0-9A-F]{16}, none of which is at hand$/,
    });
  });

  it('names both ways when a message has both', async () => {
    await assert.rejects(decryptBytes(await readVector('ours.pgp'), nobody), {
      kind: 'key',
      message: /for key ids [0-9A-F]{16}, [0-9A-F]{16}, none of which is at hand, and encrypted with a passphrase/,
    });
  });

  it('says that a passphrase is missing or wrong', async () => {
    const wrong = await openOpenPgpDecrypter({ privateKeys: [], passphrases: [Secret.fromText('wrong')] });
    for (const name of ['symmetric.gpg', 'symmetric-aes256-bzip2.gpg']) {
      await assert.rejects(decryptBytes(await readVector(name), nobody), { kind: 'key', message: /missing or wrong/ });
      await assert.rejects(decryptBytes(await readVector(name), wrong), { kind: 'key', message: /missing or wrong/ });
    }
    await assert.rejects(decryptBytes(await readVector('symmetric-cast5.gpg'), wrong), {
      kind: 'key',
      message: /wrong passphrase/,
    });
  });

  it('says that the private key is locked, or its passphrase wrong', async () => {
    const message = await readVector('locked-zlib.gpg');
    const privateKeys = [await readSecretVector('locked.key.asc')];
    const cases = [
      [await openOpenPgpDecrypter({ privateKeys }), /private key [0-9A-F]{40} is locked by a passphrase/],
      [
        await openOpenPgpDecrypter({ privateKeys, keyPassphrase: Secret.fromText(passphrase) }),
        /wrong passphrase for private key [0-9A-F]{40}/,
      ],
    ] as const;
    for (const [by, text] of cases) await assert.rejects(decryptBytes(message, by), { kind: 'key', message: text });
  });

  it('takes another way when the first key stays locked', async () => {
    const by = await openOpenPgpDecrypter({
      privateKeys: [await readSecretVector('locked.key.asc')],
      passphrases: [Secret.fromText(passphrase)],
    });
    assert.ok(dump.equals(await decryptBytes(await readVector('ours.pgp'), by)));
  });

  it('refuses a private key file that holds none', async () => {
    for (const name of ['dump.sql', 'ecc.cert.asc']) {
      await assert.rejects(openOpenPgpDecrypter({ privateKeys: [await readSecretVector(name)] }), { kind: 'key' });
    }
  });
});

describe('openOpenPgpDecrypter as a stage', () => {
  it('passes on the error of its source, by both ways', async () => {
    for (const name of ['ecc-none.gpg', 'ecc-bzip2.gpg', 'ecc-zlib.gpg']) {
      const message = await readVector(name);
      async function* failing(): ByteStream {
        yield message.subarray(0, 3000);
        throw new Error('the store went away');
      }
      await assert.rejects(decryptBytes(failing()), { message: 'the store went away' }, name);
    }
  });

  it('releases its source when the consumer stops early, by both ways', async () => {
    for (const name of ['ours.pgp', 'ecc-zlib.gpg']) {
      const message = await readVector(name);
      let isReleased = false;
      async function* source(): ByteStream {
        try {
          yield* chopped(message, 100);
        } finally {
          isReleased = true;
        }
      }
      for await (const _chunk of decrypter.decrypt(identity)(source())) break;
      assert.ok(isReleased, name);
    }
  });

  it('waits for a slow source longer than the watchdog would wait for openpgp.js', async () => {
    const message = await readVector('ecc-zlib.gpg');
    const by = await openOpenPgpDecrypter({ privateKeys: [await readSecretVector('ecc.key.asc')], stallTimeoutMs: 20 });
    async function* slow(): ByteStream {
      for await (const chunk of chopped(message, 2000)) {
        await new Promise((resolve) => setTimeout(resolve, 80));
        yield chunk;
      }
    }
    assert.ok(dump.equals(await decryptBytes(slow(), by)));
  });
});
