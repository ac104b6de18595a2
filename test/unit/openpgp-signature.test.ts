import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Secret } from '../../src/core/secret.ts';
import { readCertificates } from '../../src/crypto/openpgp-certificates.ts';
import { generateOpenPgpKey } from '../../src/crypto/openpgp-keygen.ts';
import { signDetached, verifyDetached } from '../../src/crypto/openpgp-signature.ts';
import { readCertificateVector, readSecretVector, readVector } from './openpgp-objects.ts';

const manifest = Buffer.from('{"format":"librelog-backup-manifest"}');
const ecc = await readCertificateVector('ecc.cert.asc');
const locked = await readCertificateVector('locked.cert.asc');
const signed = await signDetached(manifest, { signingKey: await readSecretVector('ecc.key.asc') });

describe('signDetached', () => {
  it('signs with a key that verifyDetached takes', async () => {
    assert.match(signed.value, /^-----BEGIN PGP SIGNATURE-----/);
    const verified = await verifyDetached(manifest, signed.value, [...locked, ...ecc]);
    assert.equal(verified.signer, ecc[0]?.fingerprint);
    assert.equal(verified.signer, signed.signer);
    assert.ok(Math.abs(verified.signedAt.getTime() - Date.now()) < 120_000);
  });

  it('signs with a locked key', async () => {
    const signingKey = await readSecretVector('locked.key.asc');
    const { value } = await signDetached(manifest, { signingKey, keyPassphrase: Secret.fromText('locked key') });
    assert.equal((await verifyDetached(manifest, value, locked)).signer, locked[0]?.fingerprint);
  });

  it('refuses a key that is locked, wrongly unlocked, none, or one of several', async () => {
    const signingKey = await readSecretVector('locked.key.asc');
    const two = new Secret(Buffer.concat([await readVector('ecc.key.asc'), await readVector('locked.key.asc')]));
    const wrong = { signingKey, keyPassphrase: Secret.fromText('wrong') };
    for (const options of [{ signingKey }, wrong, { signingKey: Secret.fromText('no key') }, { signingKey: two }]) {
      await assert.rejects(signDetached(manifest, options), { kind: 'key' });
    }
  });
});

describe('verifyDetached', () => {
  it('takes a frozen signature of gpg', async () => {
    const signature = (await readVector('dump.sql.sig.asc')).toString();
    const { signer } = await verifyDetached(await readVector('dump.sql'), signature, ecc);
    assert.equal(signer, ecc[0]?.fingerprint);
  });

  it('takes a signature whose key has expired since', async () => {
    const pair = await generateOpenPgpKey({ name: 'Short', email: 'short@example.com', expiresInDays: 1 });
    const { value } = await signDetached(manifest, { signingKey: pair.privateKey });
    const inAMonth = new Date(Date.now() + 30 * 86_400_000);
    const bytes = Buffer.from(pair.certificate);
    const certificates = await readCertificates(bytes, { name: 'short', now: inAMonth, purpose: 'verification' });
    assert.equal((await verifyDetached(manifest, value, certificates)).signer, pair.fingerprint);
    await assert.rejects(readCertificates(bytes, { name: 'short', now: inAMonth }), { kind: 'key' });
  });

  it('refuses other bytes', async () => {
    const other = Buffer.from(manifest);
    other.writeUInt8(0x20, 5);
    for (const bytes of [other, manifest.subarray(1), Buffer.alloc(0)]) {
      await assert.rejects(verifyDetached(bytes, signed.value, ecc), { kind: 'integrity', message: /is not valid/ });
    }
  });

  it('refuses a signer whose certificate is not at hand, and names its key', async () => {
    for (const certificates of [locked, []]) {
      await assert.rejects(verifyDetached(manifest, signed.value, certificates), {
        kind: 'key',
        message: /by key id [0-9A-F]{16}, whose certificate is not at hand/,
      });
    }
  });

  it('refuses what is no signature', async () => {
    for (const value of [
      '',
      'signed: me',
      signed.value.slice(0, 100),
      (await readVector('ecc-armored.asc')).toString(),
    ]) {
      await assert.rejects(verifyDetached(manifest, value, ecc), { kind: 'integrity' });
    }
  });
});
