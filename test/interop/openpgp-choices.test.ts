import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  type BackupDecryption,
  type DecryptionRequest,
  openDecryption,
  openOpenPgpDecryption,
} from '../../src/backup/open-decryption.ts';
import { type EncryptionRequest, prepareEncryption } from '../../src/backup/open-encryption.ts';
import type { Manifest } from '../../src/catalog/manifest.ts';
import { collect, streamOf } from '../../src/core/byte-stream.ts';
import { type Gpg, openGpg } from '../support/gpg.ts';
import { quietContext } from '../support/quiet-context.ts';
import { sampleManifest } from '../support/sample-manifest.ts';

const maxBytes = 1024 * 1024;
const identity = { backupId: '20261123T231405Z-7f3a9c', objectName: 'archive.dump.zst.pgp' };
const data = Buffer.from('COPY public.item (id, name) FROM stdin;\n');
const compression = { method: 'none' } as const;

let gpg: Gpg;
let folder: string;
let alice: string;
let bob: string;
before(async () => {
  gpg = await openGpg();
  folder = await mkdtemp(join(tmpdir(), 'openpgp-choices-'));
  alice = await gpg.generate('alice <alice@example.com>');
  bob = await gpg.generate('bob <bob@example.com>', { algorithm: 'future-default' });
  const files = { alice: [alice], bob: [bob], all: [] };
  for (const [name, keys] of Object.entries(files)) {
    await writeFile(join(folder, `${name}.pub`), await gpg.run(['--export', ...keys]));
    await writeFile(join(folder, `${name}.key`), await gpg.run(['--export-secret-keys', ...keys]), { mode: 0o600 });
  }
});
after(async () => {
  await gpg[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

const context = () => quietContext({ ...process.env, GNUPGHOME: gpg.home, PASS: 'open sesame' });
const file = (name: string): string => `file:${join(folder, name)}`;

type OpenPgpRequest = Partial<Extract<EncryptionRequest, { method: 'openpgp' }>>;

interface Backup {
  readonly manifest: Manifest;
  readonly object: Buffer;
}

async function create(request: OpenPgpRequest): Promise<Backup> {
  const whole = { method: 'openpgp', recipients: [], ...request } as const;
  using prepared = await prepareEncryption(whole, compression, context());
  using encryption = await prepared.begin({ backupId: identity.backupId, label: 'shop' });
  const object = await collect(encryption.encrypter.encrypt(identity)(streamOf(data)), maxBytes);
  const { seal: _seal, ...unsealed } = sampleManifest({ encryption: encryption.encrypter.description });
  return { manifest: { ...unsealed, seal: await encryption.seal(unsealed) }, object };
}

async function read({ decrypter }: BackupDecryption, object: Uint8Array): Promise<Buffer> {
  return await collect(decrypter.decrypt(identity)(streamOf(object)), maxBytes);
}

async function open({ manifest, object }: Backup, request: DecryptionRequest): Promise<Buffer> {
  using decryption = await openDecryption(manifest, request, context());
  return await read(decryption, object);
}

async function keyIdsIn(message: Uint8Array): Promise<string[]> {
  const packets = (await gpg.run(['--list-packets'], message)).toString();
  return [...packets.matchAll(/^:pubkey enc packet: .* keyid ([0-9A-F]{16})$/gm)].map(([, id]) => id ?? '');
}

async function subkeyOf(fingerprint: string): Promise<string> {
  const listing = (await gpg.run(['--with-colons', '--list-keys', fingerprint])).toString();
  return /^sub:(?:.*\n)fpr:{9}([0-9A-F]+):/m.exec(listing)?.[1] ?? '';
}

describe('recipients', () => {
  it('that are hidden open the backup and stand neither in the object nor in the manifest', async () => {
    const backup = await create({ recipients: [file('bob.pub')], hiddenRecipients: [file('alice.pub')] });
    assert.deepEqual((await keyIdsIn(backup.object)).slice(1), ['0000000000000000']);
    assert.doesNotMatch(JSON.stringify(backup.manifest), new RegExp(alice));
    assert.match(JSON.stringify(backup.manifest), new RegExp(bob));
    assert.ok(data.equals(await open(backup, { privateKeys: [file('alice.key')] })));
    assert.ok(data.equals(await open(backup, { privateKeys: [file('bob.key')] })));
  });

  it('may all be hidden', async () => {
    const backup = await create({ hiddenRecipients: [file('all.pub')] });
    assert.deepEqual(await keyIdsIn(backup.object), ['0000000000000000', '0000000000000000']);
    for (const name of ['alice.key', 'bob.key', 'all.key']) {
      assert.ok(data.equals(await open(backup, { privateKeys: [file(name)] })));
    }
  });

  it('can be chosen from a keyring, down to the subkey', async () => {
    const subkey = await subkeyOf(bob);
    for (const choice of [bob, subkey, `${subkey}!`]) {
      const { object } = await create({ recipients: [file('alice.pub'), file('all.pub')], recipientKeys: [choice] });
      assert.deepEqual(await keyIdsIn(object), [subkey.slice(-16)]);
    }
  });

  it('must be there when they are chosen', async () => {
    const missing = create({ recipients: [file('alice.pub')], recipientKeys: [alice, bob] });
    await assert.rejects(missing, { kind: 'key', message: `no certificate that was given has the key ${bob}` });
    await assert.rejects(create({ recipients: [file('all.pub')], recipientKeys: ['bob'] }), { kind: 'config' });
  });
});

describe('a required signature', () => {
  const signers = () => [file('bob.pub')];

  it('lets a backup be opened that one of the signers has signed', async () => {
    const backup = await create({ recipients: [file('alice.pub')], signingKey: file('bob.key') });
    const request = { privateKeys: [file('alice.key')], requireSignature: true };
    assert.ok(data.equals(await open(backup, { ...request, signers: [file('all.pub')] })));
    await assert.rejects(open(backup, { ...request, signers: [file('alice.pub')] }), { kind: 'key' });
  });

  it('must be by somebody', async () => {
    const backup = await create({ recipients: [file('alice.pub')], signingKey: file('bob.key') });
    for (const signers of [undefined, []]) {
      const opening = open(backup, { privateKeys: [file('alice.key')], requireSignature: true, signers });
      await assert.rejects(opening, { kind: 'usage', message: /no signer was named/, hint: /--signer/ });
    }
  });

  it('keeps an unsigned backup, one with AES-256 and one with a changed manifest closed', async () => {
    const request = { privateKeys: [file('alice.key')], requireSignature: true, signers: signers() };
    const unsigned = await create({ recipients: [file('alice.pub')] });
    await assert.rejects(open(unsigned, request), { kind: 'integrity', message: /is not signed$/ });
    const aes = { encryption: { method: 'aes-256', wrappedKeys: [] } } as unknown as Partial<Manifest>;
    await assert.rejects(open({ ...unsigned, manifest: sampleManifest(aes) }, request), {
      kind: 'integrity',
      message: /is not signed: AES-256 backups/,
    });
    const signed = await create({ recipients: [file('alice.pub')], signingKey: file('bob.key') });
    const changed = { ...signed.manifest, label: 'other' };
    await assert.rejects(open({ ...signed, manifest: changed }, request), {
      kind: 'integrity',
      message: /was changed/,
    });
  });

  it('opens no file without a manifest', async () => {
    await assert.rejects(
      openOpenPgpDecryption({ privateKeys: [file('alice.key')], requireSignature: true }, context()),
      {
        kind: 'usage',
        message: /a file without a manifest has no signature/,
      },
    );
  });
});

describe('the engine gpg', () => {
  it('opens a backup with the keys of its own keyring, and a passphrase', async () => {
    const backup = await create({ recipients: [file('alice.pub')], signingKey: file('bob.key') });
    const signed = { signers: [file('bob.pub')], requireSignature: true };
    assert.ok(data.equals(await open(backup, { engine: 'gpg', ...signed })));
    const symmetric = await create({ passphrase: 'env:PASS' });
    for (const option of ['passphrase', 'privateKeyPassphrase']) {
      assert.ok(data.equals(await open(symmetric, { engine: 'gpg', [option]: 'env:PASS' })));
    }
  });

  it('opens a file without a manifest', async () => {
    using decryption = await openOpenPgpDecryption({ engine: 'gpg' }, context());
    const message = await gpg.run(['--encrypt', '--recipient', alice], data);
    assert.ok(data.equals(await read(decryption, message)));
  });

  it('checks the signature on the manifest first, as ever', async () => {
    const backup = await create({ recipients: [file('alice.pub')] });
    await assert.rejects(open(backup, { engine: 'gpg', signers: [file('bob.pub')] }), { kind: 'integrity' });
  });

  it('refuses what gpg cannot be given', async () => {
    const requests: DecryptionRequest[] = [
      { privateKeys: [file('alice.key')] },
      { passphrase: 'env:PASS', privateKeyPassphrase: 'env:PASS' },
    ];
    for (const request of requests) {
      await assert.rejects(openOpenPgpDecryption({ engine: 'gpg', ...request }, context()), { kind: 'usage' });
    }
  });
});
