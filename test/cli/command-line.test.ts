import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { assertFailure, assertNothingBelow } from '../support/cli-assertions.ts';
import { createSmallDatabase } from '../support/sample-database.ts';
import { aesKey, openStoryTeller, type StoryTeller } from '../support/story.ts';

let teller: StoryTeller;
before(async () => {
  teller = await openStoryTeller();
  await createSmallDatabase(teller.cluster, 'small');
});
after(async () => await teller[Symbol.asyncDispose]());

describe('help', () => {
  const asked = ['--help', 'help', 'create --help', 'help restore', 'keys generate --help', 'keys help', '--version'];
  for (const command of asked) {
    it(`${command} goes to stdout and is a success`, async () => {
      const run = await teller.story().run(command);
      assert.equal(run.code, 0);
      assert.equal(run.stderr, '');
      assert.match(run.stdout, /^(?:Usage: librelog-backup|\d+\.\d+\.\d+\n$)/);
      if (command !== '--version') assert.match(run.stdout, /^ {2}40 {3}data tampered with, truncated or corrupt$/m);
    });
  }

  for (const command of ['', 'keys', 'keys generate']) {
    it(`takes the place of the command missing after "${command}", on stderr`, async () => {
      const run = await teller.story().run(command);
      assert.equal(run.code, 2);
      assert.equal(run.stdout, '');
      assert.match(run.stderr, /^Usage: librelog-backup/);
    });
  }
});

describe('a wrong command line', () => {
  const wrong: Readonly<Record<string, RegExp>> = {
    craete: /^unknown command 'craete' \(Did you mean create\?\)$/,
    'create --databse small': /^unknown option '--databse' \(Did you mean --database\?\)$/,
    'create --database': /^option '-d, --database <url\|name>' argument missing$/,
    'create --format directory': /^option '--format <format>' argument 'directory' is invalid/,
    'create --encrypt rot13': /^option '--encrypt <method>' argument 'rot13' is invalid/,
    'create --upload-memory lots': /argument 'lots' is invalid. It must be a whole number$/,
    'create -d small --key file:aes.key --compress lzma': /^"lzma" is no compression$/,
    'create -d small --key file:aes.key --compress zstd:99': /^zstd has no level 99$/,
    'create -d small --key file:aes.key --compress none:1': /^"none:1" is no compression$/,
    'create -d small --key file:aes.key --stall-timeout soon': /^"soon" is not a duration$/,
    'create -d small': /^it is not clear how to encrypt$/,
    'create -d small --passphrase env:X': /^it is not clear how to encrypt$/,
    'create -d small --encrypt aes-256': /^AES-256 needs a key$/,
    'create -d small --encrypt openpgp': /^OpenPGP needs a recipient$/,
    'create -d small --encrypt aes-256 --recipient file:x': /^--recipient is for OpenPGP$/,
    'create -d small --encrypt openpgp --key file:aes.key': /^--key is for AES-256$/,
    'create -d small --key file:aes.key --recipient file:x': /^it is not clear how to encrypt$/,
    'create -d small --key file:aes.key --signing-key file:x': /^--signing-key is for OpenPGP$/,
    'create -d small --key file:aes.key --schema-only --data-only': /exclude each other$/,
    'create -d small --key file:aes.key stray': /^"stray" is not an option of pg_dump$/,
    'create -d small --key file:aes.key -- --file=x': /^pg_dump option --file cannot be used here: /,
    'create -d small --key file:aes.key -- -Fd': /^pg_dump option --format cannot be used here: /,
    'create -d small --key file:aes.key -- -j4': /^pg_dump option --jobs cannot be used here: /,
    'list stray': /^too many arguments for 'list'/,
    'restore one two --target x': /^too many arguments for 'restore'/,
    'verify --level restore': /^option '--level <level>' argument 'restore' is invalid/,
    'delete --yes': /^missing required argument 'id'$/,
    'decrypt file.aes': /^required option '-o, --output <file>' not specified$/,
    'keys generate aes-256': /^it is not clear where the key is to be kept$/,
    'keys generate openpgp -o x --name n --email e@example.com --expires-in-days never': /It must be a whole number$/,
  };
  // The message says what to do.
  const hasNoHint = /--data-only| -- /;
  for (const [command, message] of Object.entries(wrong)) {
    it(`is refused before anything happens: ${command}`, async () => {
      const story = teller.story();
      const run = await story.run(command);
      assertFailure(run, { code: 2, message, hint: hasNoHint.test(command) ? null : /./ });
      assertNothingBelow(story.storeFolder);
    });
  }

  it('without a store says how to name one', async () => {
    const run = await teller.story().run('list', { env: { LIBRELOG_BACKUP_STORE: '' } });
    assertFailure(run, { code: 2, message: /^no store given$/, hint: /--store URL/ });
  });
});

describe('arguments after --', () => {
  it('are given to pg_dump as they are, and their names go into the manifest', async () => {
    const story = teller.story();
    const backup = await story.create('small', `${aesKey} -- --exclude-table-data=visits --no-comments -x`);
    assert.deepEqual(backup.dump.options, ['--exclude-table-data', '--no-comments', '--no-privileges']);
    const contents = await story.succeed(`restore ${aesKey} --list`);
    assert.match(contents, /TABLE DATA public people/);
    assert.doesNotMatch(contents, /TABLE DATA public visits/);
  });

  it('that pg_dump does not know fail the backup, and leave nothing', async () => {
    const story = teller.story();
    const run = await story.run(`create -d small ${aesKey} -- --no-such-option`);
    assertFailure(run, { code: 10, message: /^pg_dump failed \(exit code 1\): .*no-such-option/, hint: null });
    assertNothingBelow(story.storeFolder);
  });
});

describe('filters', () => {
  it('choose what is dumped', async () => {
    const story = teller.story();
    await story.create('small', `${aesKey} --table people --schema-only`);
    const contents = await story.succeed(`restore ${aesKey} --list`);
    assert.match(contents, /TABLE public people/);
    assert.doesNotMatch(contents, /TABLE DATA|visits/);
  });

  it('that match nothing fail the backup, and leave nothing', async () => {
    const story = teller.story();
    const run = await story.run(`create -d small ${aesKey} --table peopel`);
    assertFailure(run, { code: 10, message: /no matching tables were found/, hint: /names/ });
    assertNothingBelow(story.storeFolder);
  });
});

describe('--dry-run', () => {
  it('says what would be done, and writes nothing', async () => {
    const story = teller.story();
    const printed = await story.succeed(`create -d small ${aesKey} --dry-run`);
    assert.match(
      printed,
      /^would back up "small" \(PostgreSQL [\d.]+.*\)\nwith \/\S+\/pg_dump --format=custom .*\nto small\/\S+\/archive\.dump\.zst\.aes\n$/,
    );
    assertNothingBelow(story.storeFolder);
  });

  it('fails on what the real run would fail on', async () => {
    const story = teller.story();
    const run = await story.run('create -d small --key file:missing.key --dry-run');
    assertFailure(run, {
      code: 30,
      message: /cannot read secret file:missing\.key: there is no such file/,
      hint: null,
    });
    assertFailure(await story.run(`create -d nowhere ${aesKey} --dry-run`), { code: 10, message: /no such database/ });
    assertNothingBelow(story.storeFolder);
  });
});

it('an older Node gets one clear sentence', async () => {
  const story = teller.story();
  const older = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.19.2' } });`;
  const run = await story.run('list', { env: { NODE_OPTIONS: `--require=${story.write('older.cjs', older)}` } });
  assert.equal(run.code, 3);
  assert.equal(run.stdout, '');
  assert.equal(run.stderr, 'librelog-backup: needs Node >= 24.20, and this is 20.19.2\n');
});
