import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Manifest } from '../../src/catalog/manifest.ts';
import { assertNoSession, entriesBelow } from '../support/cli-assertions.ts';
import { assertSameDatabase } from '../support/database-difference.ts';
import { fingerprintDatabase, type DatabaseFingerprint } from '../support/database-fingerprint.ts';
import { generatePair, type OpenPgpPair } from '../support/openpgp-pair.ts';
import { createSampleDatabase, createSmallDatabase } from '../support/sample-database.ts';
import { aesKey, openStoryTeller, type StoryTeller } from '../support/story.ts';

let teller: StoryTeller;
let alice: OpenPgpPair;
let original: DatabaseFingerprint;
let small: DatabaseFingerprint;

before(async () => {
  teller = await openStoryTeller();
  await createSampleDatabase(teller.cluster, 'sample');
  await createSmallDatabase(teller.cluster, 'small');
  original = await fingerprintDatabase(teller.cluster, 'sample');
  small = await fingerprintDatabase(teller.cluster, 'small');
  alice = await generatePair(teller.story(), 'alice');
});
after(async () => await teller[Symbol.asyncDispose]());

/** `$ALICE` and `$ALICE_KEY` stand for the pair's references. */
function withAlice(args: string): string {
  return args.replace('$ALICE_KEY', alice.privateKey).replace('$ALICE', alice.certificate);
}

const passphrase = { PASS: 'correct horse battery staple' };

describe('the sample database, with every awkward thing, comes back identical', () => {
  const ways = {
    'AES-256, custom format': { create: '--key file:aes.key', open: '--key file:aes.key' },
    'OpenPGP, plain format, gzip': {
      create: '--recipient $ALICE --format plain --compress gzip:1',
      open: '--private-key $ALICE_KEY',
    },
  } as const;

  for (const [name, { create, open }] of Object.entries(ways)) {
    it(name, async () => {
      const story = teller.story();
      const backup = await story.create('sample', withAlice(create));
      await story.succeed(`verify ${backup.id} --level decrypt ${withAlice(open)}`);
      await story.succeed(`restore ${backup.id} --target ${story.target} --create-db ${withAlice(open)}`);
      assertSameDatabase(await fingerprintDatabase(teller.cluster, story.target), original);
      await teller.cluster.dropDatabase(story.target);
    });
  }
});

describe('a small database comes back identical', () => {
  const ways: Readonly<Record<string, { readonly create: string; readonly open: string }>> = {
    'key file, custom, zstd': { create: '--key file:aes.key', open: '--key file:aes.key' },
    'key in the environment, plain, zstd:19': {
      create: '--key env:KEY --format plain --compress zstd:19',
      open: '--key env:KEY',
    },
    'AES passphrase in the environment, custom, gzip': {
      create: '--encrypt aes-256 --passphrase env:PASS --compress gzip',
      open: '--passphrase env:PASS',
    },
    'key and passphrase, opened by the passphrase, none': {
      create: '--key file:aes.key --passphrase env:PASS --compress none',
      open: '--passphrase env:PASS',
    },
    'two keys, opened by the second, plain, none': {
      create: '--key file:aes.key --key env:KEY --format plain --compress none',
      open: '--key env:KEY',
    },
    'OpenPGP recipient, custom, zstd:19': {
      create: '--recipient $ALICE --compress zstd:19',
      open: '--private-key $ALICE_KEY',
    },
    'OpenPGP passphrase, plain, zstd': {
      create: '--encrypt openpgp --passphrase env:PASS --format plain',
      open: '--passphrase env:PASS',
    },
    'OpenPGP recipient and passphrase, opened by the passphrase, none': {
      create: '--recipient $ALICE --passphrase env:PASS --compress none',
      open: '--passphrase env:PASS',
    },
  };

  for (const [name, { create, open }] of Object.entries(ways)) {
    it(name, async () => {
      const story = teller.story();
      const env = { KEY: 'ab'.repeat(32), ...passphrase };
      const made = await story.run(`create --database small ${withAlice(create)}`, { env });
      assert.equal(made.code, 0, made.stderr);
      assert.equal(made.stderr, '');
      assert.match(
        made.stdout,
        /^created small\/\d{8}T\d{6}Z-[0-9a-f]{6}: [\d.]+ \w+ stored as [\d.]+ \w+ in [\d.]+s\n$/,
      );
      const verified = await story.run(`verify --level decrypt ${withAlice(open)}`, { env });
      assert.equal(verified.code, 0, verified.stderr);
      const restored = await story.run(`restore latest --target ${story.target} --create-db ${withAlice(open)}`, {
        env,
      });
      assert.equal(restored.code, 0, restored.stderr);
      assert.match(restored.stdout, new RegExp(`^restored .* of dump into postgresql://.*/${story.target}\n$`));
      assertSameDatabase(await fingerprintDatabase(teller.cluster, story.target), small);
      await assertNoSession(teller.cluster, story.target);
    });
  }
});

describe('create', () => {
  it('leaves exactly one object and one manifest, for their owner only', async () => {
    const story = teller.story();
    const backup = await story.create('small');
    const [object, manifest] = [story.objectPath(backup), story.manifestPath(backup)];
    const folder = dirname(manifest);
    assert.deepEqual(
      entriesBelow(story.storeFolder).toSorted(),
      [dirname(folder), folder, object, manifest].toSorted(),
    );
    for (const file of [object, manifest]) assert.equal(statSync(file).mode & 0o777, 0o600);
    for (const path of [story.storeFolder, folder]) assert.equal(statSync(path).mode & 0o777, 0o700);
  });

  it('backs up several databases, each under its own label', async () => {
    const story = teller.story();
    const odd = 'Ünïcode / "quoted"';
    await teller.cluster.createDatabase(odd, { from: 'small' });
    const command = ['create', '--database', 'small', '--database', odd, '--key', 'file:aes.key'];
    const { backups } = await story.ask<{ backups: readonly Manifest[] }>(command);
    const labels = backups.map(({ label }) => label);
    assert.deepEqual(labels, ['small', '~c3~9cn~c3~afcode~20~2f~20~22quoted~22']);
    await story.succeed(`restore --label ${labels[1]} --target ${story.target} --create-db ${aesKey}`);
    assertSameDatabase(await fingerprintDatabase(teller.cluster, story.target), small);
  });

  it('leaves the databases as they were, and no session in them', async () => {
    await assertNoSession(teller.cluster, 'small');
    await assertNoSession(teller.cluster, 'sample');
    assertSameDatabase(await fingerprintDatabase(teller.cluster, 'small'), small);
    assertSameDatabase(await fingerprintDatabase(teller.cluster, 'sample'), original);
  });
});
