import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { CliRun } from '../support/run-cli.ts';
import { createSmallDatabase } from '../support/sample-database.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';

let teller: StoryTeller;
let story: Story;
let id: string;
before(async () => {
  teller = await openStoryTeller();
  await createSmallDatabase(teller.cluster, 'small');
  story = teller.story();
  ({ id } = await story.create('small'));
});
after(async () => await teller[Symbol.asyncDispose]());

interface ErrorDocument {
  readonly kind: string;
  readonly message: string;
  readonly hint: string | null;
  readonly exitCode: number;
}

/** Everything on stdout, as the one document it has to be. */
function documentOf(run: CliRun): Record<string, unknown> {
  assert.ok(run.stdout.endsWith('}\n'), `no document: ${run.stdout}`);
  return JSON.parse(run.stdout) as Record<string, unknown>;
}

describe('--json prints exactly one document', () => {
  const successes: Readonly<Record<string, readonly [command: () => string, keys: readonly string[]]>> = {
    create: [() => `create --database small ${aesKey} --label another`, ['backups']],
    'create --dry-run': [() => `create --database small ${aesKey} --dry-run`, ['backups']],
    list: [() => 'list', ['backups']],
    verify: [() => `verify ${id}`, ['id', 'label', 'level', 'storedBytes', 'entries']],
    'restore --target': [
      () => `restore ${id} ${aesKey} --target json_target --create-db`,
      ['backup', 'target', 'plainBytes', 'jobs', 'formerName'],
    ],
    'restore --output': [() => `restore ${id} ${aesKey} --output json.dump`, ['backup', 'output', 'plainBytes']],
    'restore --list': [() => `restore ${id} ${aesKey} --list`, ['contents']],
    decrypt: [() => `decrypt json.dump --output same.dump`, ['output', 'plainBytes']],
    'keys generate aes-256': [() => 'keys generate aes-256 -o json.key', ['path', 'keyId']],
    'keys generate openpgp': [
      () => 'keys generate openpgp --name n --email e@example.com -o json',
      ['fingerprint', 'certificatePath', 'privateKeyPath', 'revocationPath'],
    ],
    delete: [() => `delete ${id} --yes`, ['deleted']],
  };

  for (const [name, [command, keys]] of Object.entries(successes)) {
    it(`when ${name} succeeds`, async () => {
      const run = await story.run(`${command()} --json`);
      assert.equal(run.code, 0, run.stderr);
      assert.equal(run.stderr, '');
      assert.deepEqual(Object.keys(documentOf(run)), keys);
    });
  }

  const failures: Readonly<Record<string, readonly [command: string, error: Omit<ErrorDocument, 'message' | 'hint'>]>> =
    {
      create: [`create --database nowhere ${aesKey}`, { kind: 'postgres', exitCode: 10 }],
      restore: [`restore 20200101T000000Z-abcdef ${aesKey} --target x`, { kind: 'notFound', exitCode: 21 }],
      'restore --output -': [`restore 20200101T000000Z-abcdef --output -`, { kind: 'notFound', exitCode: 21 }],
      show: ['show 20200101T000000Z-abcdef', { kind: 'notFound', exitCode: 21 }],
      verify: ['verify 20200101T000000Z-abcdef', { kind: 'notFound', exitCode: 21 }],
      delete: ['delete 20200101T000000Z-abcdef --yes', { kind: 'notFound', exitCode: 21 }],
      decrypt: ['decrypt missing.aes -o out', { kind: 'notFound', exitCode: 21 }],
      list: ['list --store ftp://somewhere', { kind: 'config', exitCode: 3 }],
      'keys generate': ['keys generate aes-256 -o aes.key', { kind: 'conflict', exitCode: 50 }],
      'a wrong value': ['create --compress lzma --key file:aes.key', { kind: 'usage', exitCode: 2 }],
      'an unknown option': ['create --no-such-option', { kind: 'usage', exitCode: 2 }],
      'an unknown command': ['craete', { kind: 'usage', exitCode: 2 }],
      'a missing option': ['keys generate aes-256', { kind: 'usage', exitCode: 2 }],
      'a missing configuration': ['create --key file:aes.key --config missing.yaml', { kind: 'config', exitCode: 3 }],
    };

  for (const [name, [command, expected]] of Object.entries(failures)) {
    it(`when ${name} fails`, async () => {
      const run = await story.run(`${command} --json`);
      assert.equal(run.code, expected.exitCode, run.stderr);
      const document = documentOf(run) as { error: ErrorDocument };
      assert.deepEqual(Object.keys(document), ['error']);
      const { message, hint, ...rest } = document.error;
      assert.deepEqual(rest, expected);
      assert.ok(run.stderr.includes(`librelog-backup: ${message}\n`));
      if (hint !== null) assert.ok(run.stderr.includes(`HINT: ${hint}\n`));
    });
  }

  it('when some of several databases fail, with those that succeeded', async () => {
    const run = await story.run(`create -d small -d nowhere ${aesKey} --json`);
    assert.equal(run.code, 60);
    const { backups, failures, ...rest } = documentOf(run) as {
      backups: readonly { label: string }[];
      failures: readonly { database: string; error: ErrorDocument }[];
    };
    assert.deepEqual(rest, {});
    assert.deepEqual(
      backups.map(({ label }) => label),
      ['small'],
    );
    assert.deepEqual(
      failures.map(({ database, error }) => [database, error.kind]),
      [['nowhere', 'postgres']],
    );
    assert.match(run.stderr, /1 of 2 databases failed/);
  });

  it('when all of several databases fail', async () => {
    const run = await story.run(`create -d nowhere -d nobody ${aesKey} --json`);
    assert.equal(run.code, 10);
    assert.deepEqual(Object.keys(documentOf(run)), ['backups', 'failures']);
  });

  it('when a manifest in the list is damaged, with its problem', async () => {
    const { label, id } = await story.create('small', `${aesKey} --label damaged`);
    story.write(`store/${label}/${id}/manifest.json`, '{}');
    const run = await story.run('list --label damaged --json');
    assert.equal(run.code, 40);
    const { backups } = documentOf(run) as { backups: readonly { problem: ErrorDocument }[] };
    assert.deepEqual(backups[0]?.problem.kind, 'integrity');
  });
});

it('--log-format json makes every line on stderr but the failure a JSON line', async () => {
  story.write('open.key', 'ab'.repeat(32), 0o644);
  const run = await story.run('create -d small --label logged --key file:open.key --log-format json --log-level debug');
  assert.equal(run.code, 0, run.stderr);
  const lines = run.stderr
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { msg: string });
  assert.match(lines.map(({ msg }) => msg).join('\n'), /secret file "open\.key" can be read by other users/);
});
