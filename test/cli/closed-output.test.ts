import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, lstatSync, openSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { assertFailure, entriesBelow } from '../support/cli-assertions.ts';
import type { CliRun } from '../support/run-cli.ts';
import { createSmallDatabase } from '../support/sample-database.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';

let teller: StoryTeller;
let story: Story;
before(async () => {
  teller = await openStoryTeller();
  await createSmallDatabase(teller.cluster, 'small');
  // More than a pipe holds.
  await teller.cluster.runSql('small', `CREATE TABLE noise AS SELECT md5(n::text) FROM generate_series(1, 20000) n`);
  story = teller.story();
  await story.create('small');
});
after(async () => await teller[Symbol.asyncDispose]());

/** Puts `| reader` behind the program; the exit code is the program's own. */
function pipedInto(reader: string): { wrapper: readonly string[] } {
  return { wrapper: ['bash', '-c', `"$@" | ${reader}; exit \${PIPESTATUS[0]}`, 'bash'] };
}

describe('a reader that goes away', () => {
  for (const command of ['list', 'list --json', 'show', '--help']) {
    it(`is no failure of ${command}`, async () => {
      const run = await story.run(command, pipedInto('true'));
      assert.equal(run.code, 0, run.stderr);
      assert.equal(run.stderr, '');
    });
  }

  it('leaves the first line of list to head -1', async () => {
    const run = await story.run('list', pipedInto('head -n 1'));
    assert.equal(run.code, 0, run.stderr);
    assert.match(run.stdout, /^LABEL .*\n$/);
  });

  for (const command of [`restore ${aesKey} --output -`, `restore --from-file dump.aes ${aesKey} --output -`]) {
    it(`is a failure of ${command}`, async () => {
      const [object = ''] = entriesBelow(story.storeFolder).filter((path) => path.endsWith('.aes'));
      story.write('dump.aes', readFileSync(object));
      const run = await story.run(command, pipedInto('head -c 5'));
      assert.equal(run.code, 20, run.stderr);
      assert.equal(run.stdout, 'PGDMP');
      assert.match(run.stderr, /^librelog-backup: standard output was closed\n/);
    });
  }
});

async function runIntoFullDevice(command: string): Promise<CliRun> {
  const stdout = openSync('/dev/full', 'w');
  try {
    return await story.run(command, { stdout });
  } finally {
    closeSync(stdout);
  }
}

describe('an output that takes nothing', () => {
  for (const command of ['list', 'list --json', `restore --label small ${aesKey} --output -`]) {
    it(`fails ${command}`, async () => {
      const run = await runIntoFullDevice(command);
      assertFailure(run, { code: 20, message: /^cannot write to standard output: .*no space/i, hint: null });
    });
  }

  it('fails create after the backup was made, which stays', async () => {
    const run = await runIntoFullDevice(`create -d postgres ${aesKey}`);
    assertFailure(run, { code: 20, message: /^cannot write to standard output/, hint: null });
    assert.match(await story.succeed('verify --label postgres'), /^verified/);
  });
});

describe('--output', () => {
  it('into a pipe writes through it and leaves it a pipe', async () => {
    const pipe = join(story.folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const command = `restore --label small ${aesKey} --output pipe`;
    const run = await story.run(command, {
      wrapper: ['bash', '-c', 'sha256sum < pipe & "$@"; code=$?; wait; exit $code', 'bash'],
    });
    assert.equal(run.code, 0, run.stderr);
    assert.ok(lstatSync(pipe).isFIFO());
    await story.succeed(`restore --label small ${aesKey} --output file`);
    const sha256 = createHash('sha256')
      .update(readFileSync(join(story.folder, 'file')))
      .digest('hex');
    assert.match(run.stdout, new RegExp(`^${sha256} `, 'm'));
  });

  it('into a device that is full fails, and leaves it a device', async () => {
    const run = await story.run(`restore --label small ${aesKey} --output /dev/full`);
    assertFailure(run, { code: 20, message: /^cannot write "\/dev\/full": .*no space/i, hint: null });
    assert.ok(lstatSync('/dev/full').isCharacterDevice());
  });

  it('through a link writes the file it leads to, and leaves it a link', async () => {
    const file = story.write('real', 'before');
    symlinkSync(file, join(story.folder, 'link'));
    await story.succeed(`restore --label small ${aesKey} --output link`);
    assert.ok(lstatSync(join(story.folder, 'link')).isSymbolicLink());
    assert.equal(readFileSync(file).toString('latin1', 0, 5), 'PGDMP');
  });

  it('into a folder that is not there, or a folder itself, fails and leaves nothing', async () => {
    const before = entriesBelow(story.folder);
    for (const path of ['missing/out', 'store']) {
      const run = await story.run(`restore --label small ${aesKey} --output ${path}`);
      assertFailure(run, { code: 20, message: new RegExp(`^cannot write "${path}"`), hint: null });
    }
    assert.deepEqual(entriesBelow(story.folder), before);
  });
});
