import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as openpgp from 'openpgp';
import { collect, streamOf } from '../../src/core/byte-stream.ts';
import { readCertificates } from '../../src/crypto/openpgp-certificates.ts';
import { openOpenPgpEncrypter } from '../../src/crypto/openpgp-encrypter.ts';
import { parseKeyChoice, requireChosen } from '../../src/crypto/openpgp-key-choice.ts';
import { identity } from './openpgp-objects.ts';

const now = new Date('2026-11-24T00:00:00Z');
const month = 30 * 86_400;

const idOf = (key: openpgp.Key | openpgp.Subkey): string => key.getFingerprint().toUpperCase();

/** A certificate whose encryption subkeys are the older the further down; the newest one has expired. */
async function generate(): Promise<{ key: openpgp.PublicKey; expired: string; current: string; oldest: string }> {
  const { privateKey } = await openpgp.generateKey({
    userIDs: { name: 'Test', email: 'test@example.com' },
    type: 'ecc',
    curve: 'curve25519Legacy',
    date: new Date('2026-01-01T00:00:00Z'),
    subkeys: [
      { date: new Date('2026-02-01T00:00:00Z') },
      { date: new Date('2026-05-01T00:00:00Z') },
      { date: new Date('2026-09-01T00:00:00Z'), keyExpirationTime: month },
      { date: new Date('2026-10-01T00:00:00Z'), sign: true },
    ],
    format: 'object',
  });
  const [oldest = '', current = '', expired = ''] = privateKey.subkeys.map(idOf);
  return { key: privateKey.toPublic(), oldest, current, expired };
}

const alice = await generate();
const bob = await generate();

/** Key ids in the session-key packets of a message to the certificates that were read. */
async function encryptedFor(ring: Uint8Array, ...choices: string[]): Promise<string[]> {
  const chosen = choices.map((text) => parseKeyChoice(text));
  const recipients = await readCertificates(ring, { name: 'ring', now, choices: chosen });
  requireChosen(recipients, chosen);
  const encrypter = await openOpenPgpEncrypter({ recipients });
  const message = await collect(encrypter.encrypt(identity)(streamOf('data')), 10_000);
  const envelope = await openpgp.readMessage({ binaryMessage: message });
  return envelope.getEncryptionKeyIDs().map((id) => id.toHex());
}

const keyId = (fingerprint: string): string => fingerprint.slice(-16).toLowerCase();
const ring = Buffer.concat([alice.key.write(), bob.key.write()]);

describe('the key to encrypt to', () => {
  it('is the newest one that may encrypt and has not expired', async () => {
    assert.deepEqual(await encryptedFor(alice.key.write()), [keyId(alice.current)]);
  });

  it('is the very subkey that is named with !', async () => {
    assert.deepEqual(await encryptedFor(alice.key.write(), `${alice.oldest}!`), [keyId(alice.oldest)]);
    assert.deepEqual(await encryptedFor(alice.key.write(), `0x${keyId(alice.oldest)}!`), [keyId(alice.oldest)]);
  });

  it('is the newest one of the certificate whose key is named without !', async () => {
    for (const choice of [idOf(bob.key), bob.oldest, bob.expired.toLowerCase()]) {
      assert.deepEqual(await encryptedFor(ring, choice), [keyId(bob.current)]);
    }
    assert.deepEqual(await encryptedFor(ring), [keyId(alice.current), keyId(bob.current)]);
  });

  it('is none when the one named with ! has expired or cannot encrypt', async () => {
    const refusals = [
      [alice.expired, /^key [0-9A-F]{40} of certificate [0-9A-F]{40} in "ring" has an encryption key that expired/],
      [idOf(alice.key), /it can only sign/],
    ] as const;
    for (const [fingerprint, message] of refusals) {
      await assert.rejects(encryptedFor(ring, `${fingerprint}!`), { kind: 'key', message });
    }
  });

  it('cannot be one that no certificate has', async () => {
    const message = `no certificate that was given has the key ${bob.oldest}`;
    await assert.rejects(encryptedFor(alice.key.write(), bob.oldest), { kind: 'key', message });
    await assert.rejects(encryptedFor(alice.key.write(), idOf(alice.key), bob.oldest), { kind: 'key', message });
  });
});

describe('parseKeyChoice', () => {
  it('takes fingerprints and long key ids', () => {
    const id = '0123456789ABCDEF0123456789ABCDEF01234567';
    const spaced = '0123 4567 89ab cdef 0123  4567 89ab cdef 0123 4567';
    assert.deepEqual(parseKeyChoice(id), { id, isExact: false });
    assert.deepEqual(parseKeyChoice(`${spaced}!`), { id, isExact: true });
    assert.deepEqual(parseKeyChoice('0x89abcdef01234567!'), { id: '89ABCDEF01234567', isExact: true });
  });

  for (const text of ['', '!', 'alice@example.com', 'DEADBEEF', '0123456789ABCDEF!!', '0'.repeat(41), '!'.repeat(2)]) {
    it(`refuses "${text}"`, () => {
      assert.throws(() => parseKeyChoice(text), { kind: 'config' });
    });
  }
});
