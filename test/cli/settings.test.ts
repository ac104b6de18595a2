import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { assertFailure, assertNothingBelow } from '../support/cli-assertions.ts';
import { createSmallDatabase } from '../support/sample-database.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';

let teller: StoryTeller;
before(async () => {
  teller = await openStoryTeller();
  await createSmallDatabase(teller.cluster, 'small');
});
after(async () => await teller[Symbol.asyncDispose]());

describe('environment variables', () => {
  it('set every option of a command, lists separated by commas', async () => {
    const story = teller.story();
    const env = {
      LIBRELOG_BACKUP_DATABASE: 'small, postgres',
      LIBRELOG_BACKUP_KEY: 'file:aes.key,env:SECOND',
      LIBRELOG_BACKUP_FORMAT: 'plain',
      LIBRELOG_BACKUP_COMPRESS: 'gzip:9',
      LIBRELOG_BACKUP_SCHEMA_ONLY: 'true',
      SECOND: 'cd'.repeat(32),
    };
    const { backups } = await story.ask<{ backups: Awaited<ReturnType<Story['create']>>[] }>('create', { env });
    assert.deepEqual(
      backups.map(({ label, dump, compression, encryption }) => ({
        label,
        format: dump.format,
        options: dump.options,
        compression,
        keys: 'wrappedKeys' in encryption && encryption.wrappedKeys.length,
      })),
      ['small', 'postgres'].map((label) => ({
        label,
        format: 'plain',
        options: ['--schema-only'],
        compression: { method: 'gzip', level: 9 },
        keys: 2,
      })),
    );
    await story.succeed('restore --label small --key env:SECOND --output out.sql', { env: { SECOND: env.SECOND } });
  });

  for (const off of ['0', 'false', 'no', 'off', '']) {
    it(`turn a flag off with "${off}"`, async () => {
      const story = teller.story();
      const run = await story.run(`create -d small ${aesKey}`, { env: { LIBRELOG_BACKUP_DRY_RUN: off } });
      assert.equal(run.code, 0, run.stderr);
      assert.match(run.stdout, /^created /);
    });
  }

  it('with a wrong value are named in the message', async () => {
    const story = teller.story();
    const run = await story.run(`create -d small ${aesKey}`, { env: { LIBRELOG_BACKUP_FORMAT: 'tar' } });
    assertFailure(run, { code: 2, message: /value 'tar' from env 'LIBRELOG_BACKUP_FORMAT' is invalid/ });
    assertNothingBelow(story.storeFolder);
  });
});

describe('the configuration file', () => {
  it('gives settings to each command that knows them', async () => {
    const story = teller.story();
    const env = { LIBRELOG_BACKUP_STORE: '' };
    story.write(
      'backup.yaml',
      `store: ${story.storeUrl}
database: small\nkey: [file:aes.key]\nformat: plain\ncompress: none\n`,
    );
    await story.succeed('create --config backup.yaml', { env });
    assert.match(await story.succeed('show --config backup.yaml', { env }), /^format +plain$/m);
    assert.match(
      await story.succeed('verify --level decrypt', { env: { ...env, LIBRELOG_BACKUP_CONFIG: 'backup.yaml' } }),
      /^verified/,
    );
  });

  it('counts after the environment, the environment after the command line', async () => {
    const story = teller.story();
    story.write('backup.yaml', `compress: gzip:1\nlabel: from-file\nformat: plain\n`);
    const create = `create -d small ${aesKey} --config backup.yaml`;
    const env = { LIBRELOG_BACKUP_COMPRESS: 'gzip:2', LIBRELOG_BACKUP_LABEL: 'from-environment' };
    await story.succeed(`${create} --compress none`, { env });
    const shown = await story.succeed('show');
    assert.match(shown, /^backup +from-environment\//m);
    assert.match(shown, /^compression +none$/m);
    assert.match(shown, /^format +plain$/m);
  });

  it('counts before the defaults', async () => {
    const story = teller.story();
    story.write('backup.yaml', 'compress: zstd:3\n');
    const backup = await story.create('small', `${aesKey} --config backup.yaml`);
    assert.equal('level' in backup.compression && backup.compression.level, 3);
  });

  const wrong = {
    'an unknown setting': ['databse: small\ncolour: blue\n', /databse.*colour/],
    'a wrong value': ['format: tar\nlabel: 7\n', /(?:format|label): .*; (?:format|label): /],
    'no YAML': ['store: [', /is not YAML: line \d+: /],
    'a list': ['- store\n', /file: /],
  } as const;
  for (const [what, [content, message]] of Object.entries(wrong)) {
    it(`is refused with ${what}, before anything happens`, async () => {
      const story = teller.story();
      story.write('backup.yaml', content);
      const run = await story.run(`create -d small ${aesKey} --config backup.yaml`);
      assertFailure(run, { code: 3, message: /^configuration "backup\.yaml" is /, hint: null });
      assert.match(run.stderr, message);
      assertNothingBelow(story.storeFolder);
    });
  }

  it('is refused when it is not there', async () => {
    const story = teller.story();
    const run = await story.run(`create -d small ${aesKey} --config none.yaml`);
    assertFailure(run, { code: 3, message: /^cannot read configuration "none\.yaml"/, hint: null });
  });

  it('never has its content repeated', async () => {
    const story = teller.story();
    story.write('backup.yaml', 'key: hunter2-secret\npassphrase: "hunter3-secret\n');
    const run = await story.run(`create -d small --config backup.yaml`);
    assert.equal(run.code, 3);
    assert.doesNotMatch(run.stdout + run.stderr, /hunter/);
    story.write('backup.yaml', 'key: hunter2-secret\n');
    const misused = await story.run(`create -d small --config backup.yaml`);
    assertFailure(misused, { code: 3, message: /^secret reference starts with no known scheme$/ });
    assert.doesNotMatch(misused.stdout + misused.stderr, /hunter/);
    assertNothingBelow(story.storeFolder);
  });
});

describe("libpq's own settings", () => {
  /** The way to the cluster without its variables. */
  const none = { PGHOST: '', PGPORT: '', PGUSER: '', PGPASSWORD: '' };

  it('PG* variables name the database when --database does not', async () => {
    const story = teller.story();
    const run = await story.run(`create ${aesKey}`, { env: { PGDATABASE: 'small' } });
    assert.equal(run.code, 0, run.stderr);
    assert.match(run.stdout, /^created small\//);
  });

  it('a service file names the server, a passfile the password', async () => {
    const story = teller.story();
    const { host, port, superuser } = teller.cluster;
    const service = story.write(
      'services',
      `[shop]\nhost=${host}\nport=${port}\nuser=${superuser.user}\ndbname=small\n`,
    );
    const passfile = story.write('passwords', `${host}:${port}:small:${superuser.user}:${superuser.password}\n`);
    const env = { ...none, PGSERVICEFILE: service, PGPASSFILE: passfile };
    for (const [args, extra] of [
      [['--database', 'service=shop'], {}],
      [[], { PGSERVICE: 'shop' }],
    ] as const) {
      const run = await story.run(['create', ...args, '--key', 'file:aes.key'], { env: { ...env, ...extra } });
      assert.equal(run.code, 0, run.stderr);
      assert.match(run.stdout, /^created small\//);
    }
  });

  it('the password file in the home folder works, unless others may read it', async () => {
    const story = teller.story();
    const { superuser } = teller.cluster;
    const env = { PGPASSWORD: '' };
    story.write('.pgpass', `*:*:*:${superuser.user}:${superuser.password}\n`);
    const run = await story.run(`create -d small ${aesKey}`, { env });
    assert.equal(run.code, 0, run.stderr);
    const open = story.write('open-passwords', readFileSync(`${story.folder}/.pgpass`), 0o644);
    const refused = await story.run(`create -d small ${aesKey}`, { env: { ...env, PGPASSFILE: open } });
    assertFailure(refused, { code: 10, message: /wants a password, and there is none/, hint: /PGPASSWORD/ });
    assert.match(refused.stderr, /warn: password file ".*open-passwords" is ignored: others may read it/);
  });

  it('a Unix socket works, by PGHOST and by URL', async () => {
    const story = teller.story();
    const { socketFolder, port, superuser } = teller.cluster;
    const byVariable = await story.run(`create -d small ${aesKey}`, { env: { PGHOST: socketFolder } });
    assert.equal(byVariable.code, 0, byVariable.stderr);
    const url = `postgresql://${superuser.user}@/small?host=${socketFolder}&port=${port}`;
    const byUrl = await story.run(['create', '--database', url, '--key', 'file:aes.key'], { env: { PGHOST: '' } });
    assert.equal(byUrl.code, 0, byUrl.stderr);
  });

  it('an unknown service is a wrong configuration', async () => {
    const story = teller.story();
    const run = await story.run(`create ${aesKey}`, { env: { PGSERVICE: 'nowhere' } });
    assertFailure(run, { code: 3, message: /no definition of service "nowhere"/, hint: /PGSERVICEFILE/ });
    assertNothingBelow(story.storeFolder);
  });
});
