import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { collect, streamOf } from '../../src/core/byte-stream.ts';
import { Secret } from '../../src/core/secret.ts';
import type { Decrypter } from '../../src/crypto/cipher.ts';
import { type Certificate, readCertificates } from '../../src/crypto/openpgp-certificates.ts';
import { openOpenPgpDecrypter } from '../../src/crypto/openpgp-decrypter.ts';
import { openOpenPgpEncrypter } from '../../src/crypto/openpgp-encrypter.ts';
import { generateOpenPgpKey } from '../../src/crypto/openpgp-keygen.ts';
import { signDetached, verifyDetached } from '../../src/crypto/openpgp-signature.ts';
import { type Gpg, openGpg } from '../support/gpg.ts';

const maxBytes = 64 * 1024 * 1024;
const identity = { backupId: '20261123T231405Z-7f3a9c', objectName: 'archive.dump.zst.pgp' };
const passphrase = 'correct hörse';
const sql = Buffer.from(
  Array.from({ length: 20_000 }, (_, row) => `${row}\tname ${row * 7919}\t${Math.sin(row)}\n`).join(''),
);

let gpg: Gpg;
let stranger: Gpg;
let fingerprints: string[];
let recipients: readonly Certificate[];
let decrypter: Decrypter;

before(async () => {
  gpg = await openGpg();
  stranger = await openGpg();
  await gpg.generate('curve <curve@example.com>', { algorithm: 'future-default' });
  await gpg.generate('rsa <rsa@example.com>');
  fingerprints = await gpg.fingerprints();
  recipients = await readCertificates(await gpg.run(['--export']), { name: 'keyring', now: new Date() });
  const privateKeys = [new Secret(await gpg.run(['--export-secret-keys']))];
  decrypter = await openOpenPgpDecrypter({ privateKeys, passphrases: [Secret.fromText(passphrase)] });
});

after(async () => {
  await gpg[Symbol.asyncDispose]();
  await stranger[Symbol.asyncDispose]();
});

async function encrypt(options: Parameters<typeof openOpenPgpEncrypter>[0], data: Uint8Array): Promise<Buffer> {
  const encrypter = await openOpenPgpEncrypter(options);
  return await collect(encrypter.encrypt(identity)(streamOf(data)), maxBytes);
}

async function decrypt(message: Uint8Array, by = decrypter): Promise<Buffer> {
  return await collect(by.decrypt(identity)(streamOf(message)), maxBytes);
}

describe('gpg opens what we write', () => {
  const sizes = [0, 1, 100, 191, 192, 8300, 8400, 65_500, 65_529, 65_530, 65_531, 65_536, 131_065, 131_066, 1_000_000];
  for (const size of sizes) {
    it(`${size} bytes`, async () => {
      const data = randomBytes(size);
      assert.ok(data.equals(await gpg.run(['--decrypt'], await encrypt({ recipients }, data))));
    });
  }

  it('for each recipient alone', async () => {
    assert.equal(recipients.length, 2);
    for (const recipient of recipients) {
      assert.ok(sql.equals(await gpg.run(['--decrypt'], await encrypt({ recipients: [recipient] }, sql))));
    }
  });

  it('with a passphrase, and with recipients and a passphrase, where no private key is', async () => {
    for (const to of [[], recipients]) {
      const message = await encrypt({ recipients: to, passphrase: Secret.fromText(passphrase) }, sql);
      assert.ok(sql.equals(await stranger.run(['--passphrase', passphrase, '--decrypt'], message)));
      await assert.rejects(stranger.run(['--passphrase', 'wrong', '--decrypt'], message));
    }
  });

  it('and reports it as integrity-protected, without a name or a date', async () => {
    const packets = (await gpg.run(['--list-packets'], await encrypt({ recipients }, sql))).toString();
    assert.match(packets, /mdc_method: 2/);
    assert.match(packets, /literal data packet:\n\s+mode b \(62\), created 0, name=""/);
  });

  it('but nothing that was changed', async () => {
    const message = await encrypt({ recipients }, sql);
    message.writeUInt8(message.readUInt8(message.byteLength - 5000) ^ 1, message.byteLength - 5000);
    await assert.rejects(gpg.run(['--decrypt'], message));
  });
});

const everybody = (): string[] => fingerprints.flatMap((fingerprint) => ['--recipient', fingerprint]);
const signer = (): string[] => ['--local-user', fingerprints[0] ?? '', '--sign'];

describe('we open what gpg writes', () => {
  const cases: readonly (readonly [string, () => string[]])[] = [
    ['as the old script did', () => ['--encrypt', '--recipient', 'rsa@example.com']],
    ['for a curve key', () => ['--encrypt', '--recipient', 'curve@example.com']],
    ['for several recipients', () => ['--encrypt', ...everybody()]],
    ['for a hidden recipient', () => ['--encrypt', '--hidden-recipient', fingerprints[1] ?? '']],
    ['with a passphrase', () => ['--passphrase', passphrase, '--symmetric']],
    [
      'with a passphrase and recipients',
      () => ['--passphrase', passphrase, '--symmetric', '--encrypt', ...everybody()],
    ],
    ['signed', () => ['--encrypt', ...everybody(), ...signer()]],
    ['armored', () => ['--encrypt', ...everybody(), '--armor']],
    ['armored with a comment', () => ['--encrypt', ...everybody(), '--armor', '--comment', 'nightly']],
    ['with a file name', () => ['--encrypt', ...everybody(), '--set-filename', 'dump of the größe.sql']],
  ];
  for (const compression of ['none', 'zip', 'zlib', 'bzip2']) {
    for (const [what, args] of cases) {
      it(`${what}, compression ${compression}`, async () => {
        const message = await gpg.run(['--compress-algo', compression, ...args()], sql);
        assert.ok(sql.equals(await decrypt(message)));
      });
    }
  }

  for (const cipher of ['AES', 'AES192', 'AES256', '3DES', 'CAST5', 'BLOWFISH', 'TWOFISH']) {
    it(`with cipher ${cipher} and a passphrase`, async () => {
      const args = ['--cipher-algo', cipher, '--passphrase', passphrase, '--symmetric'];
      assert.ok(sql.equals(await decrypt(await gpg.run(args, sql))));
    });
  }

  for (const size of [0, 1, 8185, 8186, 8192, 65_536, 1_000_000]) {
    it(`${size} bytes, uncompressed and from a pipe`, async () => {
      const data = randomBytes(size);
      const args = ['--encrypt', ...everybody(), '--compress-algo', 'none'];
      assert.ok(data.equals(await decrypt(await gpg.run(args, data))));
    });
  }

  it('of a file, whose length gpg writes at the start', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gpg-interop-'));
    try {
      await writeFile(join(folder, 'backup.sql'), sql);
      for (const compression of ['none', 'zlib']) {
        const args = ['--compress-algo', compression, '--output', '-', '--encrypt', ...everybody()];
        assert.ok(sql.equals(await decrypt(await gpg.run([...args, join(folder, 'backup.sql')]))));
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('with a locked private key exported by gpg, and one of which only the subkeys were exported', async () => {
    await using other = await openGpg();
    await other.run(['--passphrase', 'key lock', '--quick-generate-key', 'locked <locked@example.com>']);
    const message = await other.run(['--encrypt', '--recipient', 'locked@example.com'], sql);
    for (const command of ['--export-secret-keys', '--export-secret-subkeys']) {
      const privateKeys = [new Secret(await other.run(['--passphrase', 'key lock', command]))];
      const by = await openOpenPgpDecrypter({ privateKeys, keyPassphrase: Secret.fromText('key lock') });
      assert.ok(sql.equals(await decrypt(message, by)), command);
      await assert.rejects(decrypt(message, await openOpenPgpDecrypter({ privateKeys })), { kind: 'key' });
    }
  });
});

describe('keys and signatures', () => {
  for (const lock of [undefined, 'lock of the key']) {
    it(`gpg imports a key we generate ${lock ? 'with' : 'without'} a passphrase, and decrypts with it`, async () => {
      await using other = await openGpg();
      const locked = lock === undefined ? {} : { passphrase: Secret.fromText(lock) };
      const pair = await generateOpenPgpKey({
        name: 'Backup',
        email: 'backup@example.com',
        expiresInDays: 90,
        ...locked,
      });
      await other.run(['--import'], pair.privateKey.reveal());
      assert.deepEqual(await other.fingerprints(), [pair.fingerprint]);
      const certificates = await readCertificates(Buffer.from(pair.certificate), { name: 'new', now: new Date() });
      const message = await encrypt({ recipients: certificates }, sql);
      assert.ok(sql.equals(await other.run(['--passphrase', lock ?? '', '--decrypt'], message)));
      const back = await other.run(['--encrypt', '--recipient', pair.fingerprint], sql);
      const by = await openOpenPgpDecrypter({
        privateKeys: [pair.privateKey],
        ...(lock !== undefined && { keyPassphrase: Secret.fromText(lock) }),
      });
      assert.ok(sql.equals(await decrypt(back, by)));
    });
  }

  it("gpg verifies our signature, and we verify gpg's", async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gpg-interop-'));
    try {
      const [signed, signature] = [join(folder, 'manifest.json'), join(folder, 'manifest.json.asc')];
      await writeFile(signed, sql);
      for (const fingerprint of fingerprints) {
        const signingKey = new Secret(await gpg.run(['--export-secret-keys', fingerprint]));
        const ours = await signDetached(sql, { signingKey });
        assert.equal(ours.signer, fingerprint);
        await writeFile(signature, ours.value);
        await gpg.run(['--verify', signature, signed]);
        const theirs = await gpg.run(['--armor', '--local-user', fingerprint, '--detach-sign'], sql);
        assert.equal((await verifyDetached(sql, theirs.toString(), recipients)).signer, fingerprint);
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('a certificate that gpg revoked, or let expire, is refused', async () => {
    await using other = await openGpg();
    const short = await other.generate('short <short@example.com>', { expire: 'seconds=2' });
    const bytes = await other.run(['--export', short]);
    const later = new Date(Date.now() + 60_000);
    await assert.rejects(readCertificates(bytes, { name: 'ring', now: later }), { kind: 'key', message: /expired on/ });
    const signOnly = await other.generate('signer <signer@example.com>', { algorithm: 'ed25519', usage: 'sign' });
    const ring = await other.run(['--export', signOnly]);
    await assert.rejects(readCertificates(ring, { name: 'ring', now: new Date() }), {
      kind: 'key',
      message: /can only sign/,
    });
  });
});
