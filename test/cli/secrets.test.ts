import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { entriesBelow } from '../support/cli-assertions.ts';
import { generatePair, type OpenPgpPair } from '../support/openpgp-pair.ts';
import { assertNoSecretIn as assertNone } from '../support/secret-forms.ts';
import { createSmallDatabase } from '../support/sample-database.ts';
import { openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';

/** Everything secret that these stories know, in words that are easy to find again. */
const secrets = {
  databasePassword: 'hunter-of-databases',
  passphrase: 'hunter-of-passphrases',
  keyPassphrase: 'hunter-of-private-keys',
  aesKey: 'feedfacecafebeef'.repeat(4),
} as const;

let teller: StoryTeller;
let story: Story;
let pair: OpenPgpPair;
let env: Record<string, string>;

before(async () => {
  teller = await openStoryTeller();
  await createSmallDatabase(teller.cluster, 'small', { scale: 100 });
  await teller.cluster.query('postgres', `CREATE ROLE keeper SUPERUSER LOGIN PASSWORD '${secrets.databasePassword}'`);
  story = teller.story();
  env = {
    PGUSER: 'keeper',
    PGPASSWORD: secrets.databasePassword,
    PASS: secrets.passphrase,
    KEY_PASS: secrets.keyPassphrase,
    KEY: secrets.aesKey,
    DB_PASS: secrets.databasePassword,
    LIBRELOG_BACKUP_LOG_LEVEL: 'debug',
  };
  story.write('key.pass', secrets.keyPassphrase);
  pair = await generatePair(story, 'keeper', '--passphrase file:key.pass');
});
after(async () => await teller[Symbol.asyncDispose]());

function assertNoSecretIn(text: string, where: string): void {
  assertNone(text, secrets, where);
}

/** Runs a command, and looks through everything it has shown, handed to a child or written. */
async function runWatched(command: string, expected: { readonly code: number; readonly children: RegExp | null }) {
  const { code, stdout, stderr, children } = await story.run(command, { env });
  assert.equal(code, expected.code, stderr);
  if (expected.children === null) assert.equal(children, '');
  else assert.match(children, expected.children);
  assertNoSecretIn(stdout, `stdout of ${command}`);
  assertNoSecretIn(stderr, `stderr of ${command}`);
  assertNoSecretIn(children, `arguments or environment of a child in ${command}`);
  assertNoSecretIn(readFileSync(story.auditFile, 'utf8'), `audit log of ${command}`);
  for (const path of entriesBelow(story.storeFolder)) {
    if (statSync(path).isFile()) assertNoSecretIn(readFileSync(path, 'latin1'), path);
  }
}

function openByPair(): string {
  return `--private-key ${pair.privateKey} --private-key-passphrase env:KEY_PASS`;
}

function signByPair(): string {
  return `--signing-key ${pair.privateKey} --signing-key-passphrase env:KEY_PASS`;
}

describe('no secret shows', () => {
  const aes = '--key env:KEY --passphrase env:PASS';
  const commands: Readonly<Record<string, readonly [command: () => string, children: RegExp | null]>> = {
    'in create with AES-256': [() => `create -d small --label aes ${aes}`, /pg_dump --format=custom/],
    'in create with OpenPGP': [
      () =>
        `create -d small --label pgp --format plain --recipient ${pair.certificate} --passphrase env:PASS ${signByPair()}`,
      /pg_dump --format=plain/,
    ],
    'in create --dry-run': [() => `create -d small --label aes ${aes} --dry-run --json`, /pg_dump --version/],
    'in list and its JSON': [() => 'list --json', null],
    'in show': [() => 'show --label aes', null],
    'in verify': [() => `verify --label aes --level decrypt ${aes} --json`, /pg_restore --list/],
    'in restore of an archive': [
      () => `restore --label aes ${aes} --target from_aes --create-db --log-format json`,
      /pg_restore --exit-on-error/,
    ],
    'in keys verify': [() => `keys verify --label aes ${aes}`, null],
    'in keys list': [() => `keys list --key env:KEY --json`, null],
    'in keys rewrap': [() => `keys rewrap --label aes ${aes} --to-key env:KEY --to-passphrase env:PASS --yes`, null],
    'in keys export': [() => 'keys export --key env:KEY --output sheet', null],
    'in audit show': [() => 'audit show --json', null],
    'in restore of one table': [
      () => `restore --label aes ${aes} -t people --target one_table --create-db --json`,
      /psql --no-psqlrc/,
    ],
    'in restore of a script': [
      () => `restore --label pgp ${openByPair()} --target from_pgp --create-db`,
      /psql --no-psqlrc/,
    ],
  };
  for (const [where, [command, children]] of Object.entries(commands)) {
    it(where, async () => await runWatched(command(), { code: 0, children }));
  }

  it('when the password of the database comes from a reference, which counts before PGPASSWORD', async () => {
    const wrong = { ...env, PGPASSWORD: 'not-the-password' };
    const create = `create -d small --label aes --key env:KEY`;
    const refused = await story.run(create, { env: wrong });
    assert.equal(refused.code, 10, refused.stderr);
    const given = await story.run(`${create} --database-password env:DB_PASS`, { env: wrong });
    assert.equal(given.code, 0, given.stderr);
    assertNoSecretIn(given.stdout + given.stderr, 'the output');
    const entry = /"purpose":"database-password","source":"env:DB_PASS"/;
    assert.match(readFileSync(story.auditFile, 'utf8'), entry);
    const restore = 'restore --label aes --key env:KEY --target by_reference --create-db';
    const restored = await story.run(`${restore} --database-password env:DB_PASS`, { env: wrong });
    assert.equal(restored.code, 0, restored.stderr);
  });

  const failures: Readonly<Record<string, readonly [command: () => string, code: number]>> = {
    'when the database is not there': [() => `create -d nowhere ${aes} --json`, 10],
    'when the target is not empty': [() => `restore --label aes ${aes} --target from_aes`, 50],
    'when the password stands in a URL that is wrong': [
      () => `create -d postgresql://keeper:${secrets.databasePassword}@127.0.0.1:1/x --key env:KEY`,
      10,
    ],
    'when a password breaks its URL': [
      () => `create -d postgresql://keeper:pa@${secrets.databasePassword}@127.0.0.1/x --key env:KEY`,
      3,
    ],
    'when a key stands where its reference belongs': [() => `create -d small --key ${secrets.aesKey}`, 3],
    'when the store URL holds credentials': [
      () => `list --store s3://user:${secrets.passphrase}@bucket/prefix --json`,
      3,
    ],
  };
  for (const [when, [command, code]] of Object.entries(failures)) {
    it(when, async () => {
      const { stdout, stderr, ...run } = await story.run(command(), { env });
      assert.equal(run.code, code, stderr);
      assertNoSecretIn(stdout + stderr, 'the output');
    });
  }
});
