import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as openpgp from 'openpgp';
import { type ReadCertificatesOptions, readCertificates } from '../../src/crypto/openpgp-certificates.ts';
import { readVector } from './openpgp-objects.ts';

const now = new Date('2026-11-24T00:00:00Z');
const created = new Date('2026-01-01T00:00:00Z');

type KeyOptions = Omit<openpgp.KeyOptions, 'userIDs' | 'format'>;

async function generate(
  options: KeyOptions = {},
): Promise<{ publicKey: openpgp.PublicKey; privateKey: openpgp.PrivateKey }> {
  return await openpgp.generateKey({
    userIDs: { name: 'Test', email: 'test@example.com' },
    type: 'ecc',
    curve: 'curve25519Legacy',
    date: created,
    ...options,
    format: 'object',
  });
}

async function read(bytes: Uint8Array | string, options: Partial<ReadCertificatesOptions> = {}): Promise<string[]> {
  const certificates = await readCertificates(Buffer.from(bytes), { name: 'team.asc', now, ...options });
  return certificates.map(({ fingerprint }) => fingerprint);
}

const idOf = (key: openpgp.Key): string => key.getFingerprint().toUpperCase();
const [alice, bob] = [await generate(), await generate()];

describe('readCertificates', () => {
  it('reads an armored and a binary certificate', async () => {
    assert.deepEqual(await read(alice.publicKey.armor()), [idOf(alice.publicKey)]);
    assert.deepEqual(await read(alice.publicKey.write()), [idOf(alice.publicKey)]);
  });

  it('reads several armored certificates with text around them, and a whole binary keyring', async () => {
    const both = [idOf(alice.publicKey), idOf(bob.publicKey)];
    const armored = `Our keys\n\n${alice.publicKey.armor()}\nand\r\n${bob.publicKey.armor()}\nThat is all.\n`;
    assert.deepEqual(await read(armored), both);
    assert.deepEqual(await read(armored.replaceAll(/\r?\n/g, '\r\n')), both);
    assert.deepEqual(await read(Buffer.concat([alice.publicKey.write(), bob.publicKey.write()])), both);
  });

  it('reads the certificates that gpg exported', async () => {
    for (const name of ['ecc.cert.asc', 'locked.cert.asc']) {
      const [certificate] = await readCertificates(await readVector(name), { name, now: new Date() });
      assert.match(certificate?.fingerprint ?? '', /^[0-9A-F]{40}$/);
      assert.match(certificate?.userIds[0] ?? '', /@example\.com/);
    }
  });

  it('takes the public part of a private key file, and says that it was one', async () => {
    const [certificate] = await readCertificates(Buffer.from(alice.privateKey.armor()), { name: 'key.asc', now });
    assert.equal(certificate?.fingerprint, idOf(alice.publicKey));
    assert.equal(certificate.hadPrivateKey, true);
    assert.equal(certificate.key.isPrivate(), false);
    const [plain] = await readCertificates(alice.publicKey.write(), { name: 'cert', now });
    assert.equal(plain?.hadPrivateKey, false);
  });
});

const day = 86_400;
const expired = await generate({ keyExpirationTime: 30 * day });
const expiredSubkey = await generate({ subkeys: [{ keyExpirationTime: 30 * day }] });
const signOnly = await generate({ subkeys: [{ sign: true }] });
const noSubkey = await generate({ subkeys: [] });
const future = await generate({ date: new Date('2027-01-01T00:00:00Z') });
const weak = await generate({ type: 'rsa', rsaBits: 1024, config: { minRSABits: 1024 } });
const version6 = await generate({ type: 'curve25519', config: { v6Keys: true } });
const { publicKey: revoked } = await openpgp.revokeKey({ key: alice.privateKey, date: created, format: 'object' });

const revokedSubkey = await generate();
const [subkey] = revokedSubkey.publicKey.subkeys;
assert.ok(subkey);
revokedSubkey.publicKey.subkeys = [
  await subkey.revoke(revokedSubkey.privateKey.keyPacket as openpgp.SecretKeyPacket, {}, created),
];

const unusable: readonly (readonly [string, openpgp.Key, RegExp])[] = [
  ['expired', expired.publicKey, /expired on 2026-01-31/],
  ['revoked', revoked, /is revoked/],
  ['sign-only', noSubkey.publicKey, /it can only sign/],
  ['sign-only with a subkey', signOnly.publicKey, /it can only sign/],
  ['left without its encryption subkey by a revocation', revokedSubkey.publicKey, /its subkey was revoked/],
  ['with an expired encryption subkey', expiredSubkey.publicKey, /has an encryption key that expired/],
  ['weak', weak.publicKey, /is too weak \(RSA below 2048 bits/],
  ['version 6', version6.publicKey, /is of version 6, which gpg 2\.2 cannot use/],
];

describe('readCertificates refuses a certificate', () => {
  for (const [what, key, reason] of unusable) {
    it(`that is ${what}, alone and among good ones, and names it`, async () => {
      const alone = { kind: 'key', message: reason };
      await assert.rejects(read(key.armor()), alone);
      const message = new RegExp(`^certificate ${idOf(key)} in "team\\.asc" .*${reason.source}`);
      await assert.rejects(read(`${bob.publicKey.armor()}\n${key.armor()}`), { kind: 'key', message });
      await assert.rejects(read(Buffer.concat([key.write(), bob.publicKey.write()])), { kind: 'key', message });
    });
  }

  it('that is not valid yet', async () => {
    await assert.rejects(read(future.publicKey.armor()), { kind: 'key' });
  });

  it('whose self-signature is not its own', async () => {
    const bytes = alice.publicKey.write();
    const at = Buffer.from(bytes).indexOf('test@example.com');
    bytes[at] = 'T'.charCodeAt(0);
    await assert.rejects(read(bytes), { kind: 'key', message: /has no valid self-signature/ });
  });

  it('of a kind that openpgp.js leaves out without a word', async () => {
    // A version 3 key, as PGP 2 made them.
    const old = Buffer.from([0xc6, 14, 3, 0x30, 0, 0, 0, 0, 0, 1, 0, 8, 0xff, 0, 2, 3]);
    await assert.rejects(read(Buffer.concat([old, alice.publicKey.write()])), {
      kind: 'key',
      message: /1 of an unknown kind/,
    });
  });
});

describe('readCertificates for verification', () => {
  it('takes certificates that have expired or can only sign', async () => {
    for (const { publicKey } of [expired, noSubkey]) {
      assert.deepEqual(await read(publicKey.armor(), { purpose: 'verification' }), [idOf(publicKey)]);
    }
  });
});

const files = [
  ['that is empty', Buffer.alloc(0), /certificate file "team\.asc" is empty/],
  ['of text', Buffer.from('my key is in the other file\n'), /holds no OpenPGP key/],
  ['of noise', Buffer.from([0x99, 1, 2, 3, 4, 5, 6, 7, 8]), /cannot be read/],
  ['that is cut', alice.publicKey.write().subarray(0, 100), /cannot be read/],
  ['whose armor is cut', Buffer.from(alice.publicKey.armor().slice(0, 300)), /holds no OpenPGP key/],
  ['with a message in it', await readVector('ecc-armored.asc'), /holds no OpenPGP key/],
  ['with a binary message in it', await readVector('ecc-zlib.gpg'), /cannot be read/],
] as const;

describe('readCertificates refuses a file', () => {
  for (const [what, bytes, message] of files) {
    it(what, async () => {
      await assert.rejects(read(bytes), { kind: 'key', message });
    });
  }
});
