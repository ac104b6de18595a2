import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { assertFailure, entriesBelow } from '../support/cli-assertions.ts';
import { openGpg, type Gpg } from '../support/gpg.ts';
import { generatePair } from '../support/openpgp-pair.ts';
import { createSmallDatabase } from '../support/sample-database.ts';
import { openStoryTeller, type StoryTeller } from '../support/story.ts';

const run = promisify(execFile);

let teller: StoryTeller;
before(async () => {
  teller = await openStoryTeller();
  await createSmallDatabase(teller.cluster, 'small');
});
after(async () => await teller[Symbol.asyncDispose]());

describe('keys generate aes-256', () => {
  it('makes a key file for its owner only, which opens what it locks', async () => {
    const story = teller.story();
    const printed = await story.succeed('keys generate aes-256 --output new.key');
    assert.match(printed, /^wrote key [0-9a-f]{16} to new\.key\nkeep a copy off this machine/);
    assert.equal(statSync(join(story.folder, 'new.key')).mode & 0o777, 0o600);
    await story.create('small', '--key file:new.key');
    assert.match(await story.succeed('verify --level decrypt --key file:new.key'), /^verified/);
  });

  it('prints the id of the key as JSON, and never the key', async () => {
    const story = teller.story();
    const document = await story.ask<{ keyId: string; path: string }>('keys generate aes-256 -o new.key');
    assert.deepEqual(Object.keys(document).toSorted(), ['keyId', 'path']);
    assert.match(readFileSync(join(story.folder, 'new.key'), 'utf8'), new RegExp(document.keyId));
  });

  it('never overwrites a file', async () => {
    const story = teller.story();
    const path = story.write('old.key', 'the only copy');
    const again = await story.run('keys generate aes-256 --output old.key');
    assertFailure(again, { code: 50, message: /"old\.key" exists already/ });
    assert.equal(readFileSync(path, 'utf8'), 'the only copy');
  });

  it('leaves nothing where it cannot write', async () => {
    const story = teller.story();
    const failed = await story.run('keys generate aes-256 --output missing/new.key');
    assertFailure(failed, { code: 30, message: /cannot write file "missing\/new\.key"/, hint: null });
    assert.deepEqual(entriesBelow(story.folder), [join(story.folder, 'aes.key')]);
  });
});

describe('keys generate openpgp', () => {
  let gpg: Gpg;
  before(async () => (gpg = await openGpg()));
  after(async () => await gpg[Symbol.asyncDispose]());

  it('makes a pair that gpg imports and decrypts our backups with', async () => {
    const story = teller.story();
    const pair = await generatePair(story, 'ops');
    for (const [ending, mode] of Object.entries({ 'key.asc': 0o600, 'rev.asc': 0o600, 'pub.asc': 0o644 })) {
      assert.equal(statSync(`${pair.prefix}.${ending}`).mode & 0o777, mode);
    }
    const backup = await story.create('small', `--recipient ${pair.certificate}`);
    await gpg.run(['--import', `${pair.prefix}.key.asc`]);
    assert.ok((await gpg.fingerprints()).includes(pair.fingerprint));
    const dump = story.write('by-gpg.dump.zst', await gpg.run(['--decrypt', story.objectPath(backup)]));
    await run('zstd', ['-q', '-d', dump]);
    const { stdout } = await run(join(teller.cluster.binFolder, 'pg_restore'), ['--list', dump.replace('.zst', '')]);
    assert.match(stdout, /TABLE DATA public people/);
  });

  it('protects the private key by a passphrase, which is then needed', async () => {
    const story = teller.story();
    story.write('pass', 'open sesame\n');
    const pair = await generatePair(story, 'locked', '--passphrase file:pass');
    await story.create('small', `--recipient ${pair.certificate}`);
    const open = ['verify', '--level', 'decrypt', '--private-key', pair.privateKey];
    assertFailure(await story.run(open), { code: 30, message: /private key [0-9A-F]{40} is locked/ });
    story.write('wrong', 'open barley\n');
    const wrong = await story.run([...open, '--private-key-passphrase', 'file:wrong']);
    assertFailure(wrong, { code: 30, message: /wrong passphrase for private key/, hint: null });
    assert.match(await story.succeed([...open, '--private-key-passphrase', 'file:pass']), /^verified/);
  });

  it('makes a certificate that expires on the day asked for', async () => {
    const story = teller.story();
    const pair = await generatePair(story, 'brief', '--expires-in-days 1');
    await gpg.run(['--import', `${pair.prefix}.pub.asc`]);
    const listing = (await gpg.run(['--with-colons', '--list-keys', pair.fingerprint])).toString();
    const [, created, expires] = /^pub:(?:[^:]*:){4}(\d+):(\d+):/m.exec(listing) ?? [];
    assert.equal(Number(expires) - Number(created), 24 * 60 * 60);
  });

  it('never overwrites a pair', async () => {
    const story = teller.story();
    const pair = await generatePair(story, 'once');
    const before = readFileSync(`${pair.prefix}.key.asc`, 'utf8');
    const again = await story.run([
      'keys',
      'generate',
      'openpgp',
      '--name',
      'x',
      '--email',
      'x@example.com',
      '--output',
      pair.prefix,
    ]);
    assertFailure(again, { code: 50, message: /once\.key\.asc" exists already/ });
    assert.equal(readFileSync(`${pair.prefix}.key.asc`, 'utf8'), before);
  });

  it('leaves no half of a pair where a file is in the way', async () => {
    const story = teller.story();
    story.write('half.pub.asc', 'something else');
    const failed = await story.run('keys generate openpgp --name x --email x@example.com --output half');
    assertFailure(failed, { code: 50, message: /half\.pub\.asc" exists already/ });
    assert.deepEqual(entriesBelow(story.folder).toSorted(), [
      join(story.folder, 'aes.key'),
      join(story.folder, 'half.pub.asc'),
    ]);
    assert.equal(readFileSync(join(story.folder, 'half.pub.asc'), 'utf8'), 'something else');
  });
});
