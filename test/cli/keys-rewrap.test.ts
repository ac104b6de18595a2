import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Manifest } from '../../src/catalog/manifest.ts';
import { assertFailure, entriesBelow } from '../support/cli-assertions.ts';
import { assertSameDatabase } from '../support/database-difference.ts';
import { fingerprintDatabase, type DatabaseFingerprint } from '../support/database-fingerprint.ts';
import { createSmallDatabase } from '../support/sample-database.ts';
import { openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';

let teller: StoryTeller;
let original: DatabaseFingerprint;

before(async () => {
  teller = await openStoryTeller();
  await createSmallDatabase(teller.cluster, 'small');
  original = await fingerprintDatabase(teller.cluster, 'small');
});
after(async () => await teller[Symbol.asyncDispose]());

const rewrap = 'keys rewrap --key file:aes.key --to-key file:new.key';

function secondManifest(story: Story, { label, id }: Manifest): string {
  return join(story.storeFolder, label, id, 'manifest.2.json');
}

/** A story with a backup that `aes.key` opens, and a second key. */
async function begin(): Promise<{ story: Story; backup: Manifest }> {
  const story = teller.story();
  await story.succeed('keys generate aes-256 -o new.key');
  return { story, backup: await story.create('small') };
}

interface Answer {
  readonly isDryRun?: boolean;
  readonly backups: readonly { readonly id: string; readonly outcome: string; readonly problem?: { kind: string } }[];
}

describe('keys rewrap', () => {
  it('lets a new key restore a backup after the old one is gone, and leaves the object alone', async () => {
    const { story, backup } = await begin();
    const object = readFileSync(story.objectPath(backup));
    const first = readFileSync(story.manifestPath(backup));
    const told = await story.succeed(`${rewrap} --yes`);
    assert.match(
      told,
      new RegExp(`^rewrapped small/${backup.id}: key [0-9a-f]{16} → key [0-9a-f]{16}\n1 rewrapped, 0`),
    );
    assert.deepEqual(readFileSync(story.objectPath(backup)), object);
    assert.deepEqual(readFileSync(story.manifestPath(backup)), first);
    story.write('aes.key', '');
    await story.succeed('keys verify --key file:new.key');
    await story.succeed(`verify ${backup.id} --level decrypt --key file:new.key`);
    await story.succeed(`restore ${backup.id} --target ${story.target} --create-db --key file:new.key`);
    assertSameDatabase(await fingerprintDatabase(teller.cluster, story.target), original);
    await teller.cluster.dropDatabase(story.target);
    const shown = await story.ask<Manifest>(`show ${backup.id}`);
    assert.equal(shown.revision, 2);
    assert.match(await story.succeed(`show ${backup.id}`), /^revision +2, wrapped anew 20/m);
  });

  it('follows a rotated keyring, with the old key destroyed', async () => {
    const story = teller.story();
    await story.succeed('keys generate aes-256 -o ring');
    const backup = await story.create('small', '--key file:ring');
    const { rotateKeyringFile, destroyKeyInFile } = await import('../../src/keys/keyring-file.ts');
    const path = join(story.folder, 'ring');
    const { keyId } = await rotateKeyringFile(path, { now: new Date() });
    await story.succeed('keys rewrap --to-key file:ring --yes');
    const wrapped = backup.encryption.method === 'openpgp' ? undefined : backup.encryption.wrappedKeys[0];
    assert.ok(wrapped?.provider === 'key');
    await destroyKeyInFile(path, wrapped.keyId, { now: new Date() });
    assert.match(
      await story.succeed('keys verify --key file:ring'),
      new RegExp(`by key ${keyId} \\(version ${keyId}\\)`),
    );
    await story.succeed(`restore ${backup.id} --target ${story.target} --create-db --key file:ring`);
    assertSameDatabase(await fingerprintDatabase(teller.cluster, story.target), original);
    await teller.cluster.dropDatabase(story.target);
  });

  it('writes nothing without --yes, and says so', async () => {
    const { story, backup } = await begin();
    const before = entriesBelow(story.storeFolder);
    const told = await story.succeed(rewrap);
    assert.match(told, /^would rewrap small\//);
    assert.match(told, /\n1 to rewrap, 0 unchanged, 0 skipped, 0 failed: nothing was written; write it with --yes\n$/);
    const answer = await story.ask<Answer>(rewrap);
    assert.partialDeepStrictEqual(answer, { isDryRun: true, backups: [{ id: backup.id, outcome: 'wouldRewrap' }] });
    assert.deepEqual(entriesBelow(story.storeFolder), before);
    assert.equal(existsSync(secondManifest(story, backup)), false);
  });

  it('says what is the matter with a backup, and how many', async () => {
    const { story, backup } = await begin();
    const wrong = await story.run('keys rewrap --key file:new.key --to-key file:new.key --yes');
    assert.equal(wrong.code, 30);
    assert.match(wrong.stdout, new RegExp(`^failed small/${backup.id}: no key fits`));
    assert.match(wrong.stderr, /no key fits/);
    await story.create('small', '--key file:new.key');
    const some = await story.run('keys rewrap --key file:new.key --to-key file:new.key --yes --json');
    assert.equal(some.code, 60);
    const { backups } = JSON.parse(some.stdout) as Answer;
    assert.deepEqual(
      backups.map(({ outcome, problem }) => problem?.kind ?? outcome),
      ['key', 'unchanged'],
    );
    assert.match(some.stderr, /1 of 2 backups cannot be rewrapped: no key fits/);
  });

  it('refuses what makes no sense before it looks at the store', async () => {
    const story = teller.story();
    assertFailure(await story.run('keys rewrap --key file:aes.key'), { code: 2, message: /no key/, hint: /--to-key/ });
    assertFailure(await story.run('keys rewrap --to-key what:ever'), { code: 3, message: /no known scheme/ });
    assertFailure(await story.run('keys verify --key file:aes.key'), { code: 21, message: /store/ });
  });

  it('is in the audit log, with every use of a key', async () => {
    const { story, backup } = await begin();
    await story.succeed(`${rewrap} --yes --audit-file audit.log`);
    const lines = readFileSync(join(story.folder, 'audit.log'), 'utf8').trim().split('\n');
    const events = lines.map((line) => JSON.parse(line) as { action: string; key?: { purpose: string } });
    assert.deepEqual(
      events.map(({ action, key }) => key?.purpose ?? action),
      ['unwrap', 'wrap', 'unwrap', 'rewrap'],
    );
    assert.partialDeepStrictEqual(events.at(-1), { backup: { id: backup.id, label: 'small' }, outcome: 'success' });
  });
});

describe('keys verify', () => {
  it('tells a backup that no key opens from one that is damaged', async () => {
    const { story, backup } = await begin();
    assert.match(
      await story.succeed('keys verify --key file:aes.key'),
      /^opened small\/.*\n1 of 1 backups can be opened\n$/,
    );
    const wrong = await story.run('keys verify --key file:new.key');
    assert.equal(wrong.code, 30);
    assert.match(wrong.stdout, new RegExp(`^failed small/${backup.id}: no key fits`));
    const bytes = readFileSync(story.objectPath(backup));
    story.write(join('store', backup.label, backup.id, backup.objects[0]?.name ?? ''), bytes.subarray(0, 900));
    const damaged = await story.run('keys verify --key file:aes.key --json');
    assert.equal(damaged.code, 40);
    const { backups } = JSON.parse(damaged.stdout) as Answer;
    assert.equal(backups[0]?.problem?.kind, 'integrity');
    await story.create('small');
    assert.equal((await story.run('keys verify --key file:aes.key')).code, 60);
    assert.equal((await story.run('keys verify --key file:new.key')).code, 30);
  });
});
