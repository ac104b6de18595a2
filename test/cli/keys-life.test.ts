import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { assertFailure, entriesBelow } from '../support/cli-assertions.ts';
import { listKeys, noStore, rotateKey } from '../support/key-commands.ts';
import { generatePair } from '../support/openpgp-pair.ts';
import { createSmallDatabase } from '../support/sample-database.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';

let teller: StoryTeller;

before(async () => {
  teller = await openStoryTeller();
  await createSmallDatabase(teller.cluster, 'small', { scale: 100 });
});
after(async () => await teller[Symbol.asyncDispose]());

interface MadeKey {
  readonly reference: string;
  readonly keyId: string;
}

/** A key file as `keys generate` writes it, made at `time`. */
async function writeAged(story: Story, name: string, time: string): Promise<void> {
  await story.ask(`keys generate aes-256 --output fresh-${name}`);
  const text = readFileSync(`${story.folder}/fresh-${name}`, 'utf8');
  story.write(name, text.replace(/made \S+/, `made ${time}`));
}

describe('keys generate aes-256', () => {
  it('makes a key where a reference says', async () => {
    const story = teller.story();
    const made = await story.ask<MadeKey>('keys generate aes-256 --to-key file:new.key');
    assert.equal(made.reference, 'file:new.key');
    const [listed] = await listKeys(story, '--key file:new.key', noStore);
    assert.deepEqual([listed?.keyId, listed?.state, listed?.ageDays], [made.keyId, 'active', 0]);
    const again = await story.run('keys generate aes-256 --to-key file:new.key');
    assertFailure(again, { code: 50, message: /new\.key/, hint: null });
  });

  it('refuses places that cannot be written, and to guess one', async () => {
    const story = teller.story();
    assertFailure(await story.run('keys generate aes-256 --to-key env:KEY'), {
      code: 2,
      message: /env:KEY can be read/,
    });
    assertFailure(await story.run('keys generate aes-256'), { code: 2, message: /where the key is to be kept/ });
    const both = await story.run('keys generate aes-256 --output a --to-key file:b');
    assertFailure(both, { code: 2, message: /where the key is to be kept/ });
  });
});

describe('keys rotate', () => {
  it('leaves the old key for the old backups, which the same reference opens', async () => {
    const story = teller.story();
    const old = await story.create('small');
    const keyId = await rotateKey(story);
    const young = await story.create('small');
    for (const { id } of [old, young]) {
      const { code, stderr } = await story.run(`restore ${id} --output ${id}.dump ${aesKey}`);
      assert.equal(code, 0, stderr);
    }
    const [retired, active] = await listKeys(story, aesKey);
    assert.deepEqual([retired?.state, retired?.backups, retired?.onlyKeyOf], ['retired', 1, 1]);
    assert.deepEqual([active?.keyId, active?.state, active?.backups], [keyId, 'active', 1]);
  });

  it('makes a pair for the same person, and leaves the old one', async () => {
    const story = teller.story();
    const pair = await generatePair(story, 'keeper');
    await story.create('small', `--recipient ${pair.certificate}`);
    const made = await story.ask<{ fingerprint: string; replaces: string }>(
      `keys rotate openpgp --recipient ${pair.certificate} --output next`,
    );
    assert.equal(made.replaces, pair.fingerprint);
    assert.notEqual(made.fingerprint, pair.fingerprint);
    await story.create('small', '--recipient file:next.pub.asc');
    const keys = await listKeys(story, `--recipient ${pair.certificate} --recipient file:next.pub.asc`);
    assert.deepEqual(
      keys.map(({ keyId, backups, ageDays }) => [keyId, backups, ageDays]),
      [
        [pair.fingerprint, 1, 0],
        [made.fingerprint, 1, 0],
      ],
    );
    const again = await story.run(`keys rotate openpgp --recipient ${pair.certificate} --output next`);
    assertFailure(again, { code: 50, message: /next\.key\.asc/, hint: null });
  });
});

describe('a configuration file that names the key', () => {
  it('serves rotate and shred, and is in the way of none', async () => {
    const story = teller.story();
    story.write('config.yaml', 'key: file:aes.key\nstore: file:///nowhere\n');
    await story.ask('keys rotate aes-256 --config config.yaml');
    const made = await story.run('keys generate aes-256 --output new.key --config config.yaml');
    assert.equal(made.code, 0, made.stderr);
    story.write('several.yaml', 'key: [file:aes.key, file:new.key]\n');
    const several = await story.run('keys rotate aes-256 --config several.yaml');
    assertFailure(several, { code: 2, message: /several keys given/ });
    assertFailure(await story.run('keys rotate aes-256'), { code: 2, message: /no key given/ });
  });
});

describe('keys list', () => {
  it('tells of keys that backups need and nobody has named', async () => {
    const story = teller.story();
    story.write('other.key', randomBytes(32));
    story.write('pass', 'correct horse battery staple');
    await story.create('small', `${aesKey} --key file:other.key`);
    await story.create('small', '--encrypt aes-256 --passphrase file:pass');
    const keys = await listKeys(story, aesKey);
    assert.deepEqual(
      keys.map(({ reference, provider, state, backups, onlyKeyOf }) => [
        reference,
        provider,
        state,
        backups,
        onlyKeyOf,
      ]),
      [
        ['file:aes.key', 'key', 'active', 1, 0],
        [null, 'key', 'unknown', 1, 0],
        [null, 'passphrase', 'unknown', 1, 1],
      ],
    );
  });

  it('shows what is overdue, and what is due soon', async () => {
    const story = teller.story();
    const day = 86_400_000;
    await writeAged(story, 'old.key', new Date(Date.now() - 91 * day).toISOString());
    await writeAged(story, 'aging.key', new Date(Date.now() - 80 * day).toISOString());
    const { stdout } = await story.run(`keys list --key file:old.key --key file:aging.key ${aesKey}`, { env: noStore });
    const lines = stdout.trimEnd().split('\n').slice(1);
    assert.match(lines[0] ?? '', /^file:old\.key .* active +91 d OVERDUE$/);
    assert.match(lines[1] ?? '', /^file:aging\.key .* active +80 d due soon$/);
    assert.match(lines[2] ?? '', /^file:aes\.key .* active +-$/);
    const patient = '--key file:old.key --key file:aging.key --rotation-max-age-days 365';
    const [, aging] = await listKeys(story, patient, noStore);
    assert.equal(aging?.age, 'fresh');
  });
});

describe('create with a key that is too old', () => {
  const old = '2020-01-01T00:00:00.000Z';

  it('warns, and fails where that was asked for', async () => {
    const story = teller.story();
    await writeAged(story, 'old.key', old);
    const warned = await story.run('create -d small --key file:old.key');
    assert.equal(warned.code, 0, warned.stderr);
    assert.match(warned.stderr, /key file:old\.key is \d+ days old, and 90 is the most: rotate it \(/);
    const files = entriesBelow(story.storeFolder);
    const refused = await story.run('create -d small --key file:old.key --rotation-overdue fail');
    assertFailure(refused, { code: 65, message: /key file:old\.key is \d+ days old, and 90 is the most/ });
    assert.deepEqual(entriesBelow(story.storeFolder), files);
    story.write('config.yaml', 'rotationOverdue: fail\nrotationMaxAgeDays: 30\n');
    const configured = await story.run('create -d small --key file:old.key --config config.yaml');
    assertFailure(configured, { code: 65, message: /and 30 is the most/ });
  });

  it('goes on once it is rotated', async () => {
    const story = teller.story();
    await writeAged(story, 'old.key', old);
    await rotateKey(story, 'file:old.key');
    const { code, stderr } = await story.run('create -d small --key file:old.key --rotation-overdue fail');
    assert.deepEqual([code, /days old/.test(stderr)], [0, false], stderr);
  });
});
