import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { assertFailure, assertNoDatabase, assertNothingBelow } from '../support/cli-assertions.ts';
import { openGpg, type Gpg } from '../support/gpg.ts';
import { generatePair, type OpenPgpPair } from '../support/openpgp-pair.ts';
import { createSmallDatabase } from '../support/sample-database.ts';
import { openStoryTeller, type StoryTeller } from '../support/story.ts';

let teller: StoryTeller;
let gpg: Gpg;
let alice: OpenPgpPair;
let bob: OpenPgpPair;
let fingerprints: string[];

before(async () => {
  teller = await openStoryTeller();
  gpg = await openGpg();
  await createSmallDatabase(teller.cluster, 'small');
  const story = teller.story();
  alice = await generatePair(story, 'alice');
  bob = await generatePair(story, 'bob');
  await gpg.generate('Carol <carol@example.com>', { algorithm: 'future-default' });
  await gpg.generate('Dora <dora@example.com>');
  fingerprints = await gpg.fingerprints();
});
after(async () => {
  await gpg[Symbol.asyncDispose]();
  await teller[Symbol.asyncDispose]();
});

function recipientsOf(backup: { readonly encryption: object }): readonly string[] {
  return 'recipients' in backup.encryption ? (backup.encryption.recipients as string[]) : [];
}

describe('recipients', () => {
  it('opens for each of several, and for nobody else', async () => {
    const story = teller.story();
    const mallory = await generatePair(story, 'mallory');
    const backup = await story.create('small', `--recipient ${alice.certificate} --recipient ${bob.certificate}`);
    assert.deepEqual(recipientsOf(backup), [alice.fingerprint, bob.fingerprint]);
    const verify = 'verify --level decrypt --private-key';
    for (const { privateKey } of [alice, bob])
      assert.match(await story.succeed(`${verify} ${privateKey}`), /^verified/);
    const refused = await story.run(`${verify} ${mallory.privateKey}`);
    assertFailure(refused, { code: 30, message: /archive\.dump\.zst\.pgp/, hint: /./ });
  });

  const exports = {
    'an armored certificate': { args: ['--armor', '--export', 'carol@example.com'], owners: [0] },
    'a binary certificate': { args: ['--export', 'dora@example.com'], owners: [1] },
    'an armored keyring': { args: ['--armor', '--export'], owners: [0, 1] },
    'a binary keyring': { args: ['--export'], owners: [0, 1] },
  } as const;

  for (const [form, { args, owners }] of Object.entries(exports)) {
    it(`takes ${form} of gpg's, and gpg opens the backup`, async () => {
      const story = teller.story();
      story.write('recipients', await gpg.run(args));
      const backup = await story.create('small', '--recipient file:recipients');
      assert.deepEqual(new Set(recipientsOf(backup)), new Set(owners.map((owner) => fingerprints[owner])));
      const opened = await gpg.run(['--decrypt', story.objectPath(backup)]);
      assert.equal(opened.readUInt32LE(0), 0xfd2fb528);
    });
  }

  it('takes armored certificates one after another in one file, and one from the environment', async () => {
    const story = teller.story();
    const [first, second] = [alice, bob].map(({ prefix }) => readFileSync(`${prefix}.pub.asc`, 'utf8'));
    story.write('both.asc', `${first}${second}`);
    const backup = await story.create('small', '--recipient file:both.asc');
    assert.deepEqual(recipientsOf(backup), [alice.fingerprint, bob.fingerprint]);
    const created = await story.run('create --database small --recipient env:CERT', {
      env: { CERT: first ?? '' },
    });
    assert.equal(created.code, 0, created.stderr);
  });
});

describe('signatures', () => {
  it('signs the manifest, and a restore that demands the signer succeeds', async () => {
    const story = teller.story();
    const backup = await story.create('small', `--recipient ${alice.certificate} --signing-key ${bob.privateKey}`);
    assert.equal(backup.seal?.method === 'openpgp-signature' && backup.seal.signer, bob.fingerprint);
    const open = `--private-key ${alice.privateKey} --target ${story.target} --create-db`;
    const restored = await story.run(`restore ${backup.id} ${open} --signer ${bob.certificate}`);
    assert.equal(restored.code, 0, restored.stderr);
    assert.equal(restored.stderr, '');
  });

  it('says that nobody has checked the signature when no signer was named', async () => {
    const story = teller.story();
    await story.create('small', `--recipient ${alice.certificate} --signing-key ${bob.privateKey}`);
    const verified = await story.run(`verify --level decrypt --private-key ${alice.privateKey}`);
    assert.equal(verified.code, 0);
    assert.match(verified.stderr, /^librelog-backup: warn: signature not checked: no --signer given/);
  });

  it('signs with a locked key when its passphrase is given', async () => {
    const story = teller.story();
    story.write('pass', 'open sesame');
    const locked = await generatePair(story, 'locked', '--passphrase file:pass');
    const sign = `--recipient ${alice.certificate} --signing-key ${locked.privateKey}`;
    await story.create('small', `${sign} --signing-key-passphrase file:pass`);
    const verify = `verify --level decrypt --private-key ${alice.privateKey}`;
    assert.match(await story.succeed(`${verify} --signer ${locked.certificate}`), /^verified/);
  });

  it('leaves nothing when the signing key stays locked', async () => {
    const story = teller.story();
    story.write('pass', 'open sesame');
    const locked = await generatePair(story, 'locked', '--passphrase file:pass');
    const sign = `--recipient ${alice.certificate} --signing-key ${locked.privateKey}`;
    const failed = await story.run(`create --database small ${sign}`);
    assertFailure(failed, { code: 30, message: /private key [0-9A-F]{40} is locked by a passphrase/ });
    assertNothingBelow(story.storeFolder);
  });

  const refusals = {
    'an unsigned backup': { sign: () => '', code: 40, message: /manifest of backup ".*" is not signed/ },
    "another signer's backup": { sign: () => `--signing-key ${alice.privateKey}`, code: 30, message: /sign/ },
  } as const;

  for (const [what, { sign, code, message }] of Object.entries(refusals)) {
    it(`refuses ${what} where a signer is demanded`, async () => {
      const story = teller.story();
      await story.create('small', `--recipient ${alice.certificate} ${sign()}`);
      const open = `--private-key ${alice.privateKey} --signer ${bob.certificate}`;
      const restored = await story.run(`restore latest ${open} --target ${story.target} --create-db`);
      assertFailure(restored, { code, message });
      await assertNoDatabase(teller.cluster, story.target);
    });
  }

  it('refuses a signed manifest that was edited', async () => {
    const story = teller.story();
    const backup = await story.create('small', `--recipient ${alice.certificate} --signing-key ${bob.privateKey}`);
    const path = story.manifestPath(backup);
    writeFileSync(path, readFileSync(path, 'utf8').replace('"database": "small"', '"database": "large"'));
    const open = `--private-key ${alice.privateKey} --signer ${bob.certificate}`;
    const restored = await story.run(`restore latest ${open} --target ${story.target} --create-db`);
    assertFailure(restored, { code: 40, message: /manifest of backup "[^"]*" was changed: .*signature/ });
    await assertNoDatabase(teller.cluster, story.target);
  });

  it('refuses to open anything unsigned where a signature is required, also from a file and without a signer', async () => {
    const story = teller.story();
    const backup = await story.create('small', `--recipient ${alice.certificate} --signing-key ${bob.privateKey}`);
    const open = `--private-key ${alice.privateKey} --require-signature`;
    const verify = `verify --level decrypt ${open}`;
    assert.match(await story.succeed(`${verify} --signer ${bob.certificate}`), /^verified/);
    assertFailure(await story.run(verify), { code: 2, message: /no signer was named/, hint: /--signer/ });
    const decrypted = await story.run(`decrypt ${story.objectPath(backup)} --output dump ${open}`);
    assertFailure(decrypted, { code: 2, message: /a file without a manifest has no signature/ });
  });
});

describe('gpg', () => {
  it('opens a backup for a hidden recipient with its own keyring, as restore and as decrypt', async () => {
    const story = teller.story();
    story.write('carol.asc', await gpg.run(['--export', 'carol@example.com']));
    const backup = await story.create('small', `--hidden-recipient file:carol.asc`);
    assert.deepEqual(recipientsOf(backup), []);
    const env = { GNUPGHOME: gpg.home, HOME: gpg.home };
    const restore = `restore ${backup.id} --engine gpg --target ${story.target} --create-db`;
    const restored = await story.run(restore, { env });
    assert.equal(restored.code, 0, restored.stderr);
    const decrypted = await story.run(`decrypt ${story.objectPath(backup)} --engine gpg --output dump`, { env });
    assert.equal(decrypted.code, 0, decrypted.stderr);
  });

  it('takes no private key but its own', async () => {
    const story = teller.story();
    await story.create('small', `--recipient ${alice.certificate}`);
    const refused = await story.run(`verify --level decrypt --engine gpg --private-key ${alice.privateKey}`);
    assertFailure(refused, { code: 2, message: /its own keyring only/, hint: /--engine gpg/ });
  });
});
