import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { collect, streamOf } from '../../src/core/byte-stream.ts';
import { Secret } from '../../src/core/secret.ts';
import { type Certificate, readCertificates } from '../../src/crypto/openpgp-certificates.ts';
import { openOpenPgpDecrypter } from '../../src/crypto/openpgp-decrypter.ts';
import { openOpenPgpEncrypter } from '../../src/crypto/openpgp-encrypter.ts';
import { verifyDetached } from '../../src/crypto/openpgp-signature.ts';
import { type Gpg, openGpg } from '../support/gpg.ts';

const identity = { backupId: '20261123T231405Z-7f3a9c', objectName: 'archive.dump.zst.pgp' };
const data = Buffer.from('COPY public.item (id, name) FROM stdin;\n');

let gpg: Gpg;
before(async () => {
  gpg = await openGpg();
});
after(async () => {
  await gpg[Symbol.asyncDispose]();
});

async function readFromGpg(fingerprint: string, purpose?: 'verification'): Promise<readonly Certificate[]> {
  const bytes = await gpg.run(['--export', fingerprint]);
  return await readCertificates(bytes, { name: 'ring.gpg', now: new Date(), purpose });
}

async function encrypt(options: Parameters<typeof openOpenPgpEncrypter>[0]): Promise<Buffer> {
  const encrypter = await openOpenPgpEncrypter(options);
  return await collect(encrypter.encrypt(identity)(streamOf(data)), 100_000);
}

/** Key ids that gpg sees a message encrypted for. */
async function keyIdsIn(message: Uint8Array): Promise<string[]> {
  const packets = (await gpg.run(['--list-packets'], message)).toString();
  return [...packets.matchAll(/^:pubkey enc packet: .* keyid ([0-9A-F]{16})$/gm)].map(([, id]) => id ?? '');
}

async function sign(fingerprint: string, ...args: string[]): Promise<string> {
  return (await gpg.run([...args, '--armor', '--local-user', fingerprint, '--detach-sign'], data)).toString();
}

async function fingerprintOf(user: string): Promise<string> {
  const listing = (await gpg.run(['--with-colons', '--list-keys', user])).toString();
  return /^fpr:{9}([0-9A-F]+):/m.exec(listing)?.[1] ?? '';
}

async function generateDsa(): Promise<string> {
  const before = await gpg.fingerprints();
  const lines = ['Key-Type: DSA', 'Key-Length: 2048', 'Subkey-Type: ELG-E', 'Subkey-Length: 2048'];
  await gpg.run(['--generate-key'], ['%no-protection', ...lines, 'Name-Real: dsa', '%commit', ''].join('\n'));
  return (await gpg.fingerprints()).find((fingerprint) => !before.includes(fingerprint)) ?? '';
}

async function generateWithSha1(): Promise<string> {
  await gpg.run(['--cert-digest-algo', 'SHA1', '--passphrase', '', '--quick-generate-key', 'sha1', 'rsa2048']);
  const fingerprint = await fingerprintOf('sha1');
  await gpg.run(['--passphrase', '', '--quick-add-key', fingerprint, 'rsa2048', 'encrypt']);
  return fingerprint;
}

async function encryptForStranger(): Promise<Buffer> {
  await using stranger = await openGpg();
  await stranger.generate('stranger');
  const hiddenRecipients = await readCertificates(await stranger.run(['--export']), { name: 'ring', now: new Date() });
  return await encrypt({ recipients: [], hiddenRecipients });
}

describe('the key to encrypt to', () => {
  it('is the one that gpg takes', async () => {
    const at = (month: number): string[] => [
      '--faked-system-time',
      `2026${month.toString().padStart(2, '0')}01T000000`,
    ];
    const user = 'several <several@example.com>';
    await gpg.run([...at(1), '--passphrase', '', '--quick-generate-key', user, 'rsa2048', 'cert', 'never']);
    const fingerprint = await fingerprintOf('several@example.com');
    const subkeys = [
      ['cv25519', 'encr', 'never'],
      ['rsa2048', 'encr', 'never'],
      ['rsa2048', 'encr', '10d'],
      ['ed25519', 'sign', 'never'],
    ];
    for (const [index, subkey] of subkeys.entries()) {
      await gpg.run([...at(2 + index), '--passphrase', '', '--quick-add-key', fingerprint, ...subkey]);
    }
    const byGpg = await keyIdsIn(await gpg.run(['--encrypt', '--recipient', fingerprint], data));
    const ours = await keyIdsIn(await encrypt({ recipients: await readFromGpg(fingerprint) }));
    assert.equal(ours.length, 1);
    assert.deepEqual(ours, byGpg);
  });
});

describe('hidden recipients', () => {
  it('open what we write for them, with gpg and with us, and are not named', async () => {
    const fingerprints = [];
    for (const [name, algorithm] of [
      ['curve', 'future-default'],
      ['rsa', 'default'],
      ['open', 'default'],
    ] as const) {
      fingerprints.push(await gpg.generate(`${name} <${name}@hidden.example.com>`, { algorithm }));
    }
    const [curve = '', rsa = '', open = ''] = fingerprints;
    const hiddenRecipients = [...(await readFromGpg(curve)), ...(await readFromGpg(rsa))];
    const message = await encrypt({ recipients: await readFromGpg(open), hiddenRecipients });
    const [named, ...hidden] = await keyIdsIn(message);
    assert.notEqual(named, '0000000000000000');
    assert.deepEqual(hidden, ['0000000000000000', '0000000000000000']);

    for (const fingerprint of fingerprints) {
      await using other = await openGpg();
      const exported = await gpg.run(['--export-secret-keys', fingerprint]);
      await other.run(['--import'], exported);
      assert.ok(data.equals(await other.run(['--decrypt'], message)));
      const decrypter = await openOpenPgpDecrypter({ privateKeys: [new Secret(exported)] });
      assert.ok(data.equals(await collect(decrypter.decrypt(identity)(streamOf(message)), 100_000)));
    }
    const all = [new Secret(await gpg.run(['--export-secret-keys']))];
    const strangers = await openOpenPgpDecrypter({ privateKeys: all });
    const forOthers = await encryptForStranger();
    await assert.rejects(collect(strangers.decrypt(identity)(streamOf(forOthers)), 100_000), {
      kind: 'key',
      message: /is encrypted for hidden recipients, whose keys are not at hand/,
    });
  });
});

describe('a weak certificate of gpg', () => {
  it('with DSA and ElGamal is refused as a recipient and as a signer', async () => {
    const fingerprint = await generateDsa();
    await assert.rejects(readFromGpg(fingerprint), { kind: 'key', message: /is too weak \(DSA\)/ });
    const signer = await readFromGpg(fingerprint, 'verification');
    await assert.rejects(verifyDetached(data, await sign(fingerprint), signer), {
      kind: 'key',
      message: /of the signer is too weak \(DSA\)/,
    });
  });

  it('with a self-signature that uses SHA-1 is refused as a recipient and as a signer', async () => {
    const fingerprint = await generateWithSha1();
    const message = /is too weak \(its self-signature uses SHA-1\)/;
    await assert.rejects(readFromGpg(fingerprint), { kind: 'key', message });
    const signer = await readFromGpg(fingerprint, 'verification');
    await assert.rejects(verifyDetached(data, await sign(fingerprint), signer), { kind: 'key', message });
  });
});

describe('a signature of gpg', () => {
  it('with SHA-1 is refused', async () => {
    const fingerprint = await gpg.generate('signs with sha1', { algorithm: 'rsa2048' });
    const signer = await readFromGpg(fingerprint, 'verification');
    await verifyDetached(data, await sign(fingerprint), signer);
    await assert.rejects(verifyDetached(data, await sign(fingerprint, '--digest-algo', 'SHA1'), signer), {
      kind: 'integrity',
      message: /SHA1/,
    });
  });

  it('made before its key was renewed still counts', async () => {
    const then = ['--faked-system-time', '20260101T000000'];
    await gpg.run([...then, '--passphrase', '', '--quick-generate-key', 'renewed', 'ed25519', 'sign', '90d']);
    const fingerprint = await fingerprintOf('renewed');
    const signature = await sign(fingerprint, ...then);
    await gpg.run(['--quick-set-expire', fingerprint, '180d']);
    const { signer } = await verifyDetached(data, signature, await readFromGpg(fingerprint, 'verification'));
    assert.equal(signer, fingerprint);
  });

  it('is refused once the key was revoked', async () => {
    const fingerprint = await gpg.generate('revoked', { algorithm: 'ed25519' });
    const signature = await sign(fingerprint);
    // gpg keeps a revocation ready, with a colon in front so that nobody uses it by mistake.
    const revocation = await readFile(join(gpg.home, 'openpgp-revocs.d', `${fingerprint}.rev`), 'utf8');
    await gpg.run(['--import'], revocation.replace(':-----BEGIN', '-----BEGIN'));
    await assert.rejects(verifyDetached(data, signature, await readFromGpg(fingerprint, 'verification')), {
      kind: 'key',
      message: /of the signer is revoked/,
    });
    await assert.rejects(readFromGpg(fingerprint), { kind: 'key', message: /is revoked/ });
  });
});
