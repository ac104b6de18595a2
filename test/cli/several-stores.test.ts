import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Manifest } from '../../src/catalog/manifest.ts';
import { createSmallDatabase } from '../support/sample-database.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';

let teller: StoryTeller;
before(async () => {
  teller = await openStoryTeller();
  await createSmallDatabase(teller.cluster, 'small');
});
after(async () => await teller[Symbol.asyncDispose]());

type Stored = Manifest & { readonly store: string };

interface Report {
  readonly backups: readonly Stored[];
  readonly failures?: readonly { readonly store: string; readonly error: { readonly kind: string } }[];
}

function storeArguments(story: Story, ...names: readonly string[]): string {
  return names.map((name) => `--store file://${story.folder}/${name}`).join(' ');
}

/** A store that takes no object: its folder is a file's. */
function breakStore(story: Story, name: string): void {
  story.write(name, 'not a folder');
}

describe('create with several stores', () => {
  it('streams one backup into all of them, each of which restores alone', async () => {
    const story = teller.story();
    const { backups } = await story.ask<Report>(
      `create --database small ${aesKey} ${storeArguments(story, 'one', 'two', 'three')}`,
    );
    assert.equal(backups.length, 3);
    assert.equal(new Set(backups.map(({ id }) => id)).size, 1);
    assert.equal(new Set(backups.map(({ objects }) => objects[0]?.sha256)).size, 1);
    for (const name of ['one', 'two', 'three']) {
      await story.succeed(`verify --level decrypt ${aesKey} ${storeArguments(story, name)}`);
    }
    const files = ['one', 'three'].map((name) => {
      const folder = join(story.folder, name, 'small', backups[0]?.id ?? '');
      return readFileSync(join(folder, backups[0]?.objects[0]?.name ?? ''));
    });
    assert.ok(files[0]?.equals(files[1] ?? Buffer.alloc(0)));
  });

  it('leaves nothing anywhere when one of them fails', async () => {
    const story = teller.story();
    breakStore(story, 'broken');
    const run = await story.run(`create --database small ${aesKey} ${storeArguments(story, 'good', 'broken', 'also')}`);
    assert.equal(run.code, 21, run.stderr);
    assert.match(run.stderr, /broken/);
    for (const name of ['good', 'also']) assert.deepEqual(existsSync(join(story.folder, name)), false);
  });

  it('goes on without one that fails when told to, and ends with 60', async () => {
    const story = teller.story();
    breakStore(story, 'broken');
    const run = await story.run(
      `create --database small ${aesKey} --allow-partial --json ${storeArguments(story, 'broken', 'good')}`,
    );
    assert.equal(run.code, 60, run.stderr);
    const report = JSON.parse(run.stdout) as Report;
    assert.deepEqual(
      report.backups.map(({ store }) => store),
      [`file://${story.folder}/good`],
    );
    assert.deepEqual(
      report.failures?.map(({ store, error }) => [store, error.kind]),
      [[`file://${story.folder}/broken`, 'notFound']],
    );
    await story.succeed(`verify --level decrypt ${aesKey} ${storeArguments(story, 'good')}`);
  });

  it('fails like a single store when none is left', async () => {
    const story = teller.story();
    breakStore(story, 'one');
    breakStore(story, 'two');
    const run = await story.run(
      `create --database small ${aesKey} --allow-partial ${storeArguments(story, 'one', 'two')}`,
    );
    assert.equal(run.code, 21, run.stderr);
    assert.equal(run.stdout, '');
  });

  it('takes them from a variable, and from a configuration file', async () => {
    const story = teller.story();
    const addresses = ['a', 'b'].map((name) => `file://${story.folder}/${name}`);
    await story.succeed(`create --database small ${aesKey}`, { env: { LIBRELOG_BACKUP_STORE: addresses.join(', ') } });
    story.write('backup.yaml', `store: ${JSON.stringify(addresses)}\n`);
    await story.succeed(`create --database small ${aesKey} --config backup.yaml`, {
      env: { LIBRELOG_BACKUP_STORE: '' },
    });
    for (const name of ['a', 'b']) assert.equal(readdirSync(join(story.folder, name, 'small')).length, 2);
  });
});

describe('commands that work on one store', () => {
  it('refuse several', async () => {
    const story = teller.story();
    for (const command of ['list', 'show', 'verify', 'restore latest --list', 'delete 20260101T000000Z-000000 --yes']) {
      const run = await story.run(`${command} ${storeArguments(story, 'one', 'two')}`);
      assert.equal(run.code, 2, command);
      assert.match(run.stderr, /several stores/);
    }
  });

  it('refuse the same store twice', async () => {
    const story = teller.story();
    const run = await story.run(`create --database small ${aesKey} ${storeArguments(story, 'one', 'one')}`);
    assert.equal(run.code, 2);
    assert.match(run.stderr, /given twice/);
  });
});

describe('what a folder cannot do is refused', () => {
  const refusals = {
    '--require-sse': { code: 65, says: /encrypts nothing itself/ },
    '--legal-hold': { code: 3, says: /has no locks/ },
    '--lock compliance --lock-for 30d': { code: 3, says: /has no locks/ },
    '--tag team=storage': { code: 3, says: /has no tags/ },
    '--upload-rate 0': { code: 3, says: /upload rate of 0/ },
  } as const;
  for (const [args, { code, says }] of Object.entries(refusals)) {
    it(args, async () => {
      const story = teller.story();
      const run = await story.run(`create --database small ${aesKey} ${args}`);
      assert.equal(run.code, code, run.stderr);
      assert.match(run.stderr, says);
      assert.equal(existsSync(story.storeFolder), false);
    });
  }
});

describe('options that contradict each other are refused', () => {
  const refusals = {
    '--lock compliance': /--lock and --lock-for go together/,
    '--lock-for 30d': /--lock and --lock-for go together/,
    '--sse sse-s3 --sse-kms-key a': /--sse-kms-key is for --sse sse-kms and dsse-kms/,
    '--sse-bucket-key': /--sse-bucket-key is for --sse sse-kms/,
    '--sse sse-kms --sse-c-key file:aes.key': /--sse-c-key is for --sse sse-c/,
    '--sse sse-c': /--sse sse-c needs a key/,
    '--sse sse-kms --sse-kms-context nothing': /is not name=value/,
    '--azure-encryption-scope a --azure-customer-key file:aes.key': /exclude each other/,
    '--gcs-kms-key a --gcs-customer-key file:aes.key': /exclude each other/,
    '--tag nothing': /is not name=value/,
  } as const;
  for (const [args, says] of Object.entries(refusals)) {
    it(args, async () => {
      const story = teller.story();
      const run = await story.run(`create --database small ${aesKey} ${args}`);
      assert.equal(run.code, 2, run.stderr);
      assert.match(run.stderr, says);
    });
  }

  it("reads a customer's key like any other", async () => {
    const story = teller.story();
    const run = await story.run(`list --sse-c-key file:missing.key`);
    assert.equal(run.code, 30, run.stderr);
    mkdirSync(join(story.folder, 'store'));
    chmodSync(join(story.folder, 'aes.key'), 0o644);
    const listed = await story.run('list --sse-c-key file:aes.key');
    assert.equal(listed.code, 0, listed.stderr);
    assert.match(listed.stderr, /aes.key/);
  });
});
