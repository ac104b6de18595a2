import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as openpgp from 'openpgp';
import { collect, streamOf } from '../../src/core/byte-stream.ts';
import { Secret } from '../../src/core/secret.ts';
import { readCertificates } from '../../src/crypto/openpgp-certificates.ts';
import { openOpenPgpDecrypter } from '../../src/crypto/openpgp-decrypter.ts';
import { openOpenPgpEncrypter } from '../../src/crypto/openpgp-encrypter.ts';
import { generateOpenPgpKey } from '../../src/crypto/openpgp-keygen.ts';
import { decryptBytes, identity } from './openpgp-objects.ts';

const inDays = (days: number): Date => new Date(Date.now() + days * 86_400_000);

describe('generateOpenPgpKey', () => {
  it('makes a certificate to encrypt to and a locked key that opens', async () => {
    const passphrase = Secret.fromText('long enough');
    const pair = await generateOpenPgpKey({ name: 'Backup', email: 'backup@example.com', passphrase });
    const recipients = await readCertificates(Buffer.from(pair.certificate), { name: 'new', now: new Date() });
    assert.deepEqual(recipients[0]?.fingerprint, pair.fingerprint);
    assert.deepEqual(recipients[0].userIds, ['Backup <backup@example.com>']);
    const encrypter = await openOpenPgpEncrypter({ recipients });
    const message = await collect(encrypter.encrypt(identity)(streamOf('data')), 10_000);
    const locked = await openOpenPgpDecrypter({ privateKeys: [pair.privateKey] });
    await assert.rejects(decryptBytes(message, locked), { kind: 'key', message: /is locked/ });
    const unlocked = await openOpenPgpDecrypter({ privateKeys: [pair.privateKey], keyPassphrase: passphrase });
    assert.equal((await decryptBytes(message, unlocked)).toString(), 'data');
  });

  it('lets key and subkey expire together, or never', async () => {
    const pair = await generateOpenPgpKey({ name: 'A', email: 'a@example.com', expiresInDays: 10 });
    const read = async (now: Date) => await readCertificates(Buffer.from(pair.certificate), { name: 'new', now });
    await read(inDays(9));
    await assert.rejects(read(inDays(11)), { kind: 'key', message: /expired on/ });
    const key = await openpgp.readKey({
      armoredKey: (await generateOpenPgpKey({ name: 'A', email: 'a@example.com' })).certificate,
    });
    assert.equal(await key.getExpirationTime(), Infinity);
  });

  it('gives a revocation certificate that revokes it', async () => {
    const pair = await generateOpenPgpKey({ name: 'A', email: 'a@example.com' });
    const { publicKey } = await openpgp.revokeKey({
      key: await openpgp.readKey({ armoredKey: pair.certificate }),
      revocationCertificate: pair.revocationCertificate,
      format: 'armored',
    });
    await assert.rejects(readCertificates(Buffer.from(publicKey), { name: 'new', now: new Date() }), {
      message: /is revoked/,
    });
  });

  it('refuses what is no e-mail address', async () => {
    await assert.rejects(generateOpenPgpKey({ name: 'A', email: 'nobody' }), { kind: 'key' });
  });
});
