import assert from 'node:assert/strict';
import { readFileSync, rmSync, truncateSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Manifest } from '../../src/catalog/manifest.ts';
import { assertFailure, assertNothingBelow, entriesBelow } from '../support/cli-assertions.ts';
import { createSmallDatabase } from '../support/sample-database.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';

let teller: StoryTeller;
before(async () => {
  teller = await openStoryTeller();
  await createSmallDatabase(teller.cluster, 'small');
});
after(async () => await teller[Symbol.asyncDispose]());

describe('list', () => {
  it('shows every backup, oldest first, and none where there is none', async () => {
    const story = teller.story();
    const missing = await story.run('list');
    assertFailure(missing, { code: 21, message: /store's folder ".*" does not exist/, hint: /mounted/ });
    const first = await story.create('small');
    const second = await story.create('small', `${aesKey} --label nightly`);
    const lines = (await story.succeed('list')).trimEnd().split('\n');
    assert.match(lines[0] ?? '', /^LABEL +ID +DUMP +STORED +ENCRYPTION +SERVER$/);
    const rows = lines.slice(1).map((line) => line.split(/ +/).slice(0, 2));
    assert.deepEqual(new Set(rows.map(String)), new Set([`small,${first.id}`, `nightly,${second.id}`]));
    assert.equal((await story.succeed('list --label nightly')).split('\n').length, 3);
    assert.equal(await story.succeed('list --label nobody'), 'no backups\n');
    await story.succeed(`delete ${first.id} --yes`);
    await story.succeed(`delete ${second.id} --yes`);
    assert.equal(await story.succeed('list'), 'no backups\n');
  });

  it('shows a damaged manifest as damaged, and fails', async () => {
    const story = teller.story();
    const damaged = await story.create('small');
    const whole = await story.create('small', `${aesKey} --label whole`);
    truncateSync(story.manifestPath(damaged), 100);
    const run = await story.run('list');
    assert.equal(run.code, 40);
    assert.match(run.stdout, new RegExp(`^small +${damaged.id} .* DAMAGED `, 'm'));
    assert.match(run.stdout, new RegExp(`^whole +${whole.id} .* aes-256-gcm-hkdf-1mb `, 'm'));
    assert.match(run.stderr, /^librelog-backup: 1 of 2 manifests are damaged\n/);
  });

  it('does not list what is no backup', async () => {
    const story = teller.story();
    const backup = await story.create('small');
    rmSync(story.manifestPath(backup));
    assert.equal(await story.succeed('list'), 'no backups\n');
  });
});

describe('show', () => {
  it('tells everything about a backup, and nothing of its content', async () => {
    const story = teller.story();
    const backup = await story.create('small', `${aesKey} -t people`);
    const shown = await story.succeed(`show ${backup.id}`);
    for (const fact of [/^backup +small\//m, /^format +custom --table$/m, /^seal +HMAC/m, /SHA-256 [0-9a-f]{64}$/m]) {
      assert.match(shown, fact);
    }
    assert.doesNotMatch(shown, /people/);
    assert.doesNotMatch(readFileSync(story.manifestPath(backup), 'utf8'), /people/);
    assert.deepEqual(await story.ask('show'), backup);
  });
});

describe('verify', () => {
  let story: Story;
  let backup: Manifest;
  before(async () => {
    story = teller.story();
    backup = await story.create('small');
  });

  const proofs = {
    'presence, without a key': { args: '--level presence', says: /are there$/ },
    'digest by default, without a key': { args: '', says: /are as they were written$/ },
    'decrypt, with the key': { args: `--level decrypt ${aesKey}`, says: /decrypt to a whole dump of \d\d entries$/ },
  } as const;
  for (const [level, { args, says }] of Object.entries(proofs)) {
    it(`proves ${level}`, async () => {
      assert.match((await story.succeed(`verify ${backup.id} ${args}`)).trimEnd(), says);
    });
  }

  it('fails at every level when the object is gone', async () => {
    const story = teller.story();
    const backup = await story.create('small');
    rmSync(story.objectPath(backup));
    for (const { args } of Object.values(proofs)) {
      assertFailure(await story.run(`verify ${args}`), {
        code: 40,
        message: /archive\.dump\.zst\.aes" is missing from/,
      });
    }
  });
});

describe('delete', () => {
  it('leaves nothing of the backup, and nothing else goes', async () => {
    const story = teller.story();
    const kept = await story.create('small', `${aesKey} --label kept`);
    const backup = await story.create('small');
    const others = entriesBelow(join(story.storeFolder, 'kept'));
    assert.equal(await story.succeed(`delete ${backup.id} --yes`), `deleted small/${backup.id}\n`);
    assertNothingBelow(join(story.storeFolder, 'small'));
    assert.deepEqual(entriesBelow(join(story.storeFolder, 'kept')), others);
    assert.match(await story.succeed(`verify ${kept.id} --level decrypt ${aesKey}`), /^verified/);
  });

  it('does nothing without --yes where nobody can be asked', async () => {
    const story = teller.story();
    const backup = await story.create('small');
    const run = await story.run(`delete ${backup.id}`, { input: 'yes\n' });
    assertFailure(run, { code: 2, message: /nobody is there to confirm/, hint: /--yes/ });
    assert.match(await story.succeed('verify'), /^verified/);
  });

  it('wants an id that is there, and never takes latest', async () => {
    const story = teller.story();
    const backup = await story.create('small');
    assertFailure(await story.run('delete latest --yes'), { code: 2, message: /delete wants the id of a backup/ });
    const unknown = await story.run('delete 20200101T000000Z-abcdef --yes');
    assertFailure(unknown, { code: 21, message: /no backup "20200101T000000Z-abcdef"/ });
    assert.match(await story.succeed(`verify ${backup.id}`), /^verified/);
  });

  it('deletes a damaged backup too', async () => {
    const story = teller.story();
    const backup = await story.create('small');
    truncateSync(story.manifestPath(backup), 10);
    await story.succeed(`delete ${backup.id} --yes`);
    assertNothingBelow(dirname(dirname(story.manifestPath(backup))));
  });
});

describe('decrypt', () => {
  it('opens one stored object without the store', async () => {
    const story = teller.story();
    const backup = await story.create('small');
    const env = { LIBRELOG_BACKUP_STORE: '', ...aesInEnvironment(story) };
    const command = `decrypt ${story.objectPath(backup)} --key env:KEY --output opened.dump`;
    const run = await story.run(command, { env });
    assert.equal(run.code, 0, run.stderr);
    assert.match(run.stdout, /^decrypted [\d.]+ \w+ to opened\.dump\n$/);
    const opened = readFileSync(join(story.folder, 'opened.dump'));
    assert.equal(opened.byteLength, backup.objects[0]?.plainBytes);
    assert.equal(opened.toString('latin1', 0, 5), 'PGDMP');
  });

  it('needs the right key, and leaves no file without it', async () => {
    const story = teller.story();
    const backup = await story.create('small');
    const before = entriesBelow(story.folder);
    const run = await story.run(`decrypt ${story.objectPath(backup)} --key env:KEY --output opened.dump`, {
      env: { KEY: '5a'.repeat(32) },
    });
    assertFailure(run, { code: 30, message: /no key fits/ });
    assert.deepEqual(entriesBelow(story.folder), before);
  });
});

function aesInEnvironment(story: Story): { KEY: string } {
  return { KEY: readFileSync(join(story.folder, 'aes.key'), 'utf8') };
}
