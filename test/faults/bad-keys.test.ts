import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  assertEmptyDatabase,
  assertFailure,
  assertNothingBelow,
  entriesBelow,
  type ExpectedFailure,
} from '../support/cli-assertions.ts';
import { openGpg, type Gpg } from '../support/gpg.ts';
import { generatePair, type OpenPgpPair } from '../support/openpgp-pair.ts';
import { createSmallDatabase } from '../support/sample-database.ts';
import { aesKey, openStoryTeller, type StoryTeller } from '../support/story.ts';
import { waitUntil } from '../support/wait-until.ts';

let teller: StoryTeller;
let gpg: Gpg;
let pair: OpenPgpPair;
before(async () => {
  teller = await openStoryTeller();
  gpg = await openGpg();
  await createSmallDatabase(teller.cluster, 'small');
  pair = await generatePair(teller.story(), 'right');
});
after(async () => {
  await gpg[Symbol.asyncDispose]();
  await teller[Symbol.asyncDispose]();
});

async function certificate(user: string): Promise<Buffer> {
  return await gpg.run(['--armor', '--export', `${user}@example.com`]);
}

describe('a recipient that nothing can be encrypted to', () => {
  const bad: Readonly<Record<string, ExpectedFailure & { readonly file: () => Promise<string | Uint8Array> }>> = {
    'an empty file': { file: async () => '', code: 30, message: /^secret file:recipient is empty$/, hint: null },
    'a file that is no certificate': {
      file: async () => 'backup@example.com\n',
      code: 30,
      message: /^certificate file "file:recipient"/,
      hint: /gpg --export/,
    },
    'a certificate that is cut off': {
      file: async () => readFileSync(`${pair.prefix}.pub.asc`).subarray(0, 300),
      code: 30,
      message: /^certificate file "file:recipient" (?:cannot be read|holds no)/,
      hint: /gpg --export/,
    },
    'an expired certificate': {
      file: async () => {
        const fingerprint = await gpg.generate('expired@example.com', { expire: 'seconds=1' });
        const isExpired = async () => /^pub:e:/m.test(String(await gpg.run(['--with-colons', '-k', fingerprint])));
        await waitUntil(isExpired, 'the certificate has expired');
        return await certificate('expired');
      },
      code: 30,
      message: /^certificate [0-9A-F]{40} in "file:recipient" expired on \d{4}-\d\d-\d\d$/,
      hint: /Renew/,
    },
    'a revoked certificate': {
      file: async () => {
        const fingerprint = await gpg.generate('revoked@example.com');
        const revocation = await gpg.run(
          ['--armor', '--pinentry-mode', 'loopback', '--command-fd', '0', '--no-batch', '--gen-revoke', fingerprint],
          'y\n0\n\ny\n',
        );
        await gpg.run(['--import'], revocation);
        return await certificate('revoked');
      },
      code: 30,
      message: /^certificate [0-9A-F]{40} in "file:recipient" is revoked$/,
      hint: /replace/,
    },
    'a certificate that can only sign': {
      file: async () => {
        await gpg.generate('signer@example.com', { algorithm: 'ed25519', usage: 'sign' });
        return await certificate('signer');
      },
      code: 30,
      message: /^certificate [0-9A-F]{40} in "file:recipient" has no usable encryption key/,
      hint: /replace/,
    },
  };

  for (const [what, { file, ...expected }] of Object.entries(bad)) {
    it(`because it is ${what} fails before the database is touched, and nothing is left`, async () => {
      const story = teller.story();
      story.write('recipient', await file());
      // A port where nothing listens: whoever connects first fails in another way.
      const env = { PGPORT: '1' };
      const run = await story.run('create -d small --recipient file:recipient', { env });
      assertFailure(run, expected);
      assertNothingBelow(story.storeFolder);
    });
  }

  it('beside a good one fails as well: nobody is left out in silence', async () => {
    const story = teller.story();
    await gpg.generate('only-signs@example.com', { algorithm: 'ed25519', usage: 'sign' });
    const good = readFileSync(`${pair.prefix}.pub.asc`);
    story.write('recipients', Buffer.concat([good, await certificate('only-signs')]));
    const run = await story.run('create -d small --recipient file:recipients');
    assertFailure(run, { code: 30, message: /has no usable encryption key/ });
    assertNothingBelow(story.storeFolder);
  });
});

describe('an AES key', () => {
  const hint = /keys generate/;
  const bad: Readonly<Record<string, ExpectedFailure & { readonly content: string | Uint8Array }>> = {
    'of 16 bytes': {
      content: randomBytes(16).toString('hex'),
      code: 30,
      message: /key file:bad holds 16 bytes from hex/,
      hint,
    },
    'of 33 bytes': {
      content: randomBytes(33).toString('base64'),
      code: 30,
      message: /holds 33 bytes from base64/,
      hint,
    },
    'of 31 raw bytes': { content: Buffer.alloc(31, 0xff), code: 30, message: /holds 31 bytes raw/, hint },
    'that is a passphrase': { content: 'correct horse battery', code: 30, message: /neither hex nor base64/, hint },
    'in an empty file': { content: '', code: 30, message: /^secret file:bad is empty$/, hint: null },
    'in a file of comments': { content: '# key\n', code: 30, message: /key file:bad holds no key/, hint },
    'in a file that is much too large': {
      content: Buffer.alloc(2 ** 21),
      code: 30,
      message: /larger than/,
      hint: null,
    },
  };
  for (const [what, { content, ...expected }] of Object.entries(bad)) {
    it(`${what} is refused, and nothing is left`, async () => {
      const story = teller.story();
      story.write('bad', content);
      assertFailure(await story.run('create -d small --key file:bad'), expected);
      assertNothingBelow(story.storeFolder);
    });
  }

  const references: Readonly<Record<string, ExpectedFailure>> = {
    'file:missing': { code: 30, message: /^cannot read secret file:missing: there is no such file$/, hint: null },
    'file:folder': { code: 30, message: /^cannot read secret file:folder: it is a folder$/, hint: null },
    'env:MISSING': { code: 30, message: /env:MISSING: there is no such environment variable$/, hint: null },
    'env:not-a-name': { code: 3, message: /variable name/ },
    'file:': { code: 3, message: /names nothing/ },
    'vault:secret/backup#key': { code: 3, message: /VAULT_ADDR is not set/ },
    'exec:echo no key >&2; false': { code: 30, message: /the command failed with exit code 1: no key$/, hint: null },
  };
  for (const [reference, expected] of Object.entries(references)) {
    it(`by the reference ${reference} is refused, and nothing is left`, async () => {
      const story = teller.story();
      mkdirSync(join(story.folder, 'folder'));
      assertFailure(await story.run(['create', '-d', 'small', '--key', reference]), expected);
      assertNothingBelow(story.storeFolder);
    });
  }

  it('that others may read is used with a warning', async () => {
    const story = teller.story();
    story.write('open.key', randomBytes(32), 0o644);
    const run = await story.run('create -d small --key file:open.key');
    assert.equal(run.code, 0, run.stderr);
    assert.match(
      run.stderr,
      /^librelog-backup: warn: secret file "open\.key" can be read by other users \(mode 0644\); chmod 600 closes it\n$/,
    );
  });
});

describe('the wrong key', () => {
  const locked = {
    'an AES key': { create: aesKey, wrong: '--key env:WRONG' },
    'an AES passphrase': { create: '--encrypt aes-256 --passphrase env:PASS', wrong: '--passphrase env:WRONG_PASS' },
    'no AES key at all': { create: aesKey, wrong: '' },
    'an OpenPGP key': { create: '--recipient $RIGHT', wrong: '--private-key $WRONG' },
    'an OpenPGP passphrase': {
      create: '--encrypt openpgp --passphrase env:PASS',
      wrong: '--passphrase env:WRONG_PASS',
    },
    'no OpenPGP key at all': { create: '--recipient $RIGHT', wrong: '' },
    'an AES key for an OpenPGP backup': { create: '--recipient $RIGHT', wrong: aesKey },
  } as const;
  const env = { PASS: 'right', WRONG_PASS: 'wrong', WRONG: '11'.repeat(32) };

  for (const [what, { create, wrong }] of Object.entries(locked)) {
    it(`${what} opens nothing: exit code 30 from verify, restore and decrypt, and nothing is left`, async () => {
      const story = teller.story();
      const stranger = await generatePair(story, 'stranger');
      const backup = await story.create('small', create.replace('$RIGHT', pair.certificate), { env });
      await teller.cluster.createDatabase(story.target);
      const before = entriesBelow(story.folder);
      const open = wrong.replace('$WRONG', stranger.privateKey);
      const commands = [
        `verify --level decrypt ${open}`,
        `restore ${open} --target ${story.target}`,
        `decrypt ${story.objectPath(backup)} ${open} --output out.dump`,
      ];
      for (const command of commands) {
        assertFailure(await story.run(command, { env }), { code: 30, message: /./, hint: null });
      }
      await assertEmptyDatabase(teller.cluster, story.target);
      assert.deepEqual(entriesBelow(story.folder), before);
    });
  }
});
