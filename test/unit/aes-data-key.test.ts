import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { describe, it } from 'node:test';
import { Secret } from '../../src/core/secret.ts';
import { wrappedKeySchema } from '../../src/core/wrapped-key.ts';
import type { WrappedKey } from '../../src/core/wrapped-key.ts';
import { createDataKey, unwrapDataKey, wrapDataKey } from '../../src/crypto/data-key.ts';
import { createRawKey } from '../../src/crypto/raw-key.ts';
import { unwrapKey, wrapKey } from '../../src/crypto/key-wrap.ts';
import { derivePassphraseKey } from '../../src/crypto/passphrase-key.ts';

const one = createRawKey({ secret: new Secret(Buffer.alloc(32, 1)), keyId: '1111' });
const two = createRawKey({ secret: new Secret(Buffer.alloc(32, 2)), keyId: '2222' });
const passphrase = Secret.fromText('correct horse battery staple');
const context = { backupId: '20261123T231405Z-7f3a9c', label: 'shop' };
const dataKey = createDataKey();
const wrappedByOne = await wrapDataKey(dataKey, { keys: [one] }, context);
const wrappedByAll = await wrapDataKey(dataKey, { keys: [one, two], passphrases: [passphrase] }, context);
const wrappedByPassphrase = wrappedByAll.slice(2);

describe('data key', () => {
  it('is 32 random bytes', () => {
    assert.equal(dataKey.sizeBytes, 32);
    assert.notDeepEqual(createDataKey().reveal(), createDataKey().reveal());
  });

  it('is wrapped once for each key and passphrase, in the form of the manifest', () => {
    assert.deepEqual(
      wrappedByAll.map((wrapped) => (wrapped.provider === 'passphrase' ? wrapped.kdf.name : wrapped.keyId)),
      ['1111', '2222', 'scrypt'],
    );
    for (const wrapped of wrappedByAll) {
      assert.deepEqual(wrappedKeySchema.parse(structuredClone(wrapped)), wrapped);
      assert.equal(Buffer.from(wrapped.wrapped, 'base64').byteLength, 40);
    }
  });

  it('comes back by any one of them', async () => {
    const unlockers = [{ keys: [one] }, { keys: [two] }, { passphrases: [passphrase] }, { keys: [two, one] }];
    for (const unlocker of unlockers) {
      assert.deepEqual(
        (await unwrapDataKey(wrappedByAll, unlocker, context)).reveal(),
        dataKey.reveal(),
        inspect(unlocker),
      );
    }
  });

  it('comes back by the right passphrase among wrong ones', async () => {
    const passphrases = [Secret.fromText('wrong'), passphrase];
    assert.deepEqual((await unwrapDataKey(wrappedByPassphrase, { passphrases }, context)).reveal(), dataKey.reveal());
  });

  it('names the key ids wanted and at hand when no key fits', async () => {
    await assert.rejects(unwrapDataKey(wrappedByOne, { keys: [two] }, context), {
      kind: 'key',
      message: 'no key fits: the backup wants key 1111; at hand: key 2222',
    });
    await assert.rejects(unwrapDataKey(wrappedByAll, {}, context), {
      kind: 'key',
      message: 'no key fits: the backup wants key 1111 or key 2222 or a passphrase; at hand: nothing',
    });
  });

  it('says that a passphrase is wrong, and not what it was', async () => {
    await assert.rejects(
      unwrapDataKey(wrappedByPassphrase, { passphrases: [Secret.fromText('hunter2')] }, context),
      (error) => {
        assert.match(String(error), /wants a passphrase; .* the passphrase is wrong$/);
        assert.doesNotMatch(inspect(error), /hunter2/);
        return true;
      },
    );
  });

  it('tells damage from a wrong key: a key of the right id has to open what it wrapped', async () => {
    const damaged: WrappedKey[] = wrappedByOne.map((wrapped) => {
      const bytes = Buffer.from(wrapped.wrapped, 'base64');
      bytes[5] = (bytes[5] ?? 0) ^ 1;
      return { ...wrapped, wrapped: bytes.toString('base64') };
    });
    await assert.rejects(unwrapDataKey(damaged, { keys: [one] }, context), { kind: 'integrity', message: /key 1111/ });
    const short = wrappedByOne.map((wrapped) => ({ ...wrapped, wrapped: 'AAAA' }));
    await assert.rejects(unwrapDataKey(short, { keys: [one] }, context), { kind: 'integrity' });
  });

  it('does not let a header choose what a passphrase costs', async () => {
    const salt = Buffer.alloc(32).toString('base64');
    const hostile = [
      { n: 2 ** 30, r: 8, p: 1 },
      { n: 2 ** 16, r: 8, p: 1024 },
      { n: 2, r: 2 ** 31, p: 1 },
      { n: 2 ** 16, r: 8, p: 2 ** 52 },
      { n: 65_535, r: 8, p: 2 },
    ];
    for (const parameters of hostile) {
      const kdf = { name: 'scrypt' as const, salt, ...parameters };
      await assert.rejects(derivePassphraseKey(passphrase, kdf), { kind: 'integrity', message: /out of bounds/ });
    }
    const shortSalt = { name: 'scrypt' as const, salt: 'AAAA', n: 65_536, r: 8, p: 2 };
    await assert.rejects(derivePassphraseKey(passphrase, shortSalt), { kind: 'integrity' });
  });

  it('does not try an endless list of wrapped keys', async () => {
    const many = Array.from({ length: 17 }, () => wrappedByPassphrase).flat();
    await assert.rejects(unwrapDataKey(many, { passphrases: [passphrase] }, context), {
      kind: 'integrity',
      message: /17 times/,
    });
  });

  it('can use all that the bounds allow', async () => {
    const salt = Buffer.alloc(32).toString('base64');
    const key = await derivePassphraseKey(passphrase, { name: 'scrypt', salt, n: 2 ** 18, r: 8, p: 1 });
    assert.equal(key.sizeBytes, 32);
  });
});

describe('AES key wrap', () => {
  // RFC 3394, 4.6: 256 bits of key data with a 256-bit key.
  const keyEncryptionKey = new Secret(Buffer.from(Array.from({ length: 32 }, (_, index) => index)));
  const key = Buffer.from('00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f', 'hex');
  const wrapped = Buffer.from(
    '28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21',
    'hex',
  );

  it('agrees with the vector of RFC 3394', () => {
    assert.equal(wrapKey(new Secret(key), keyEncryptionKey), wrapped.toString('base64'));
    assert.deepEqual(unwrapKey(wrapped.toString('base64'), keyEncryptionKey)?.reveal(), key);
  });

  it('refuses every changed byte', () => {
    for (const index of wrapped.keys()) {
      const changed = Buffer.from(wrapped);
      changed[index] = (changed[index] ?? 0) ^ 0x80;
      assert.equal(unwrapKey(changed.toString('base64'), keyEncryptionKey), null);
    }
  });
});
