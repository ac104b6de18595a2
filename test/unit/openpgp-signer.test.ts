import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as openpgp from 'openpgp';
import { readCertificates } from '../../src/crypto/openpgp-certificates.ts';
import { type VerifiedSignature, verifyDetached } from '../../src/crypto/openpgp-signature.ts';

const manifest = Buffer.from('{"format":"librelog-backup-manifest"}');
const created = new Date('2026-01-01T00:00:00Z');
const signedAt = new Date('2026-06-01T00:00:00Z');
const day = 86_400;
/** Lets openpgp.js make keys that are too weak. */
const config = { minRSABits: 1024 };

async function generate(options: Partial<openpgp.KeyOptions> = {}): Promise<openpgp.PrivateKey> {
  const { privateKey } = await openpgp.generateKey({
    userIDs: { name: 'Test', email: 'test@example.com' },
    type: 'ecc',
    curve: 'curve25519Legacy',
    date: created,
    ...options,
    format: 'object',
  });
  return privateKey;
}

async function sign(key: openpgp.PrivateKey, date = signedAt): Promise<string> {
  const message = await openpgp.createMessage({ binary: manifest });
  return await openpgp.sign({ message, signingKeys: key, detached: true, format: 'armored', date, config });
}

async function verify(key: openpgp.Key, signature: string, bytes = manifest): Promise<VerifiedSignature> {
  const certificates = await readCertificates(key.toPublic().write(), {
    name: 'signer.asc',
    now: new Date(),
    purpose: 'verification',
  });
  return await verifyDetached(bytes, signature, certificates);
}

async function revoke(
  key: openpgp.PrivateKey,
  flag: openpgp.enums.reasonForRevocation,
  date: Date,
): Promise<openpgp.Key> {
  const { publicKey } = await openpgp.revokeKey({ key, reasonForRevocation: { flag }, date, format: 'object' });
  return publicKey;
}

const alice = await generate();
const { keyRetired, keySuperseded, keyCompromised, noReason } = openpgp.enums.reasonForRevocation;
const before = new Date('2026-05-01T00:00:00Z');
const later = new Date('2026-07-01T00:00:00Z');

describe('a signer is trusted', () => {
  it('while its key is good', async () => {
    const { signer, signedAt: at } = await verify(alice, await sign(alice));
    assert.equal(signer, alice.getFingerprint().toUpperCase());
    assert.equal(at.getTime(), signedAt.getTime());
  });

  it('for what it signed before it was retired or superseded', async () => {
    const signature = await sign(alice);
    for (const reason of [keyRetired, keySuperseded]) await verify(await revoke(alice, reason, later), signature);
  });

  it('for what it signed before its certificate was renewed, when only the new self-signature is left', async () => {
    const renewed = await openpgp.reformatKey({
      privateKey: alice,
      userIDs: { name: 'Test', email: 'test@example.com' },
      date: later,
      format: 'object',
    });
    await verify(renewed.publicKey, await sign(alice));
  });

  it('with a subkey', async () => {
    const key = await generate({ subkeys: [{ sign: true }] });
    await verify(key, await sign(key));
  });
});

describe('a signer is refused', () => {
  const revocations = [
    ['revoked as compromised, whenever that was', keyCompromised, later],
    ['revoked without a reason', noReason, later],
    ['retired before it signed', keyRetired, before],
    ['superseded before it signed', keySuperseded, before],
  ] as const;
  for (const [what, reason, date] of revocations) {
    it(`that was ${what}`, async () => {
      await assert.rejects(verify(await revoke(alice, reason, date), await sign(alice)), {
        kind: 'key',
        message: /^certificate [0-9A-F]{40} of the signer is revoked$/,
      });
    });
  }

  it('whose subkey that signed was revoked', async () => {
    const key = await generate({ subkeys: [{ sign: true }] });
    const signature = await sign(key);
    const [subkey] = key.subkeys;
    assert.ok(subkey);
    key.subkeys = [await subkey.revoke(key.keyPacket as openpgp.SecretKeyPacket, { flag: keyCompromised }, later)];
    await assert.rejects(verify(key, signature), { kind: 'key', message: /has revoked the subkey that signed/ });
  });

  it('that had expired when it signed', async () => {
    const short = await generate({ keyExpirationTime: 30 * day });
    await verify(short, await sign(short, new Date('2026-01-15T00:00:00Z')));
    const backdated = await generate({ date: created });
    const signature = await sign(backdated);
    const expired = await openpgp.reformatKey({
      privateKey: backdated,
      userIDs: { name: 'Test', email: 'test@example.com' },
      keyExpirationTime: 30 * day,
      date: created,
      format: 'object',
    });
    await assert.rejects(verify(expired.publicKey, signature), {
      kind: 'key',
      message: /of the signer had expired on 2026-01-31, before it signed/,
    });
  });

  it('whose key is RSA of 1024 bits', async () => {
    const weak = await generate({ type: 'rsa', rsaBits: 1024, config });
    await assert.rejects(verify(weak, await sign(weak)), { kind: 'key', message: /too weak \(RSA below 2048 bits\)/ });
  });

  it('when the bytes are others, whoever signed', async () => {
    await assert.rejects(verify(alice, await sign(alice), Buffer.from('{}')), { kind: 'integrity' });
  });
});
