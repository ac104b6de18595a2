import { after, before, describe, it } from 'node:test';
import {
  assertEmptyDatabase,
  assertFailure,
  assertNoDatabase,
  assertNoSession,
  assertNothingBelow,
  type ExpectedFailure,
} from '../support/cli-assertions.ts';
import { assertSameDatabase } from '../support/database-difference.ts';
import { fingerprintDatabase, type DatabaseFingerprint } from '../support/database-fingerprint.ts';
import { fakePgDump, makeFakeTools } from '../support/fake-tools/fake-tool.ts';
import { createSmallDatabase } from '../support/sample-database.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';

let teller: StoryTeller;
let original: DatabaseFingerprint;
let backedUp: Story;
before(async () => {
  teller = await openStoryTeller();
  await createSmallDatabase(teller.cluster, 'small');
  await teller.cluster.query('postgres', `CREATE ROLE reader LOGIN PASSWORD 'reads nothing'`);
  original = await fingerprintDatabase(teller.cluster, 'small');
  backedUp = teller.story();
  await backedUp.create('small');
});
after(async () => await teller[Symbol.asyncDispose]());

interface BadConnection extends ExpectedFailure {
  readonly database: () => string;
  readonly env?: Readonly<Record<string, string>>;
}

const badConnections: Readonly<Record<string, BadConnection>> = {
  'a wrong password': {
    database: () => 'small',
    env: { PGPASSWORD: 'wrong' },
    code: 10,
    message: /^cannot connect to postgresql:\/\/postgres@127\.0\.0\.1:\d+\/small: wrong password/,
    hint: /password/,
  },
  'no password': { database: () => 'small', env: { PGPASSWORD: '' }, code: 10, message: /wants a password/ },
  'a database that does not exist': {
    database: () => 'nowhere',
    code: 10,
    message: /there is no such database \(database "nowhere" does not exist\)/,
    hint: /name of the database/,
  },
  'a user that does not exist': {
    database: () => 'small',
    env: { PGUSER: 'nobody' },
    code: 10,
    message: /wrong password/,
  },
  'a port where nothing listens': {
    database: () => 'postgresql://postgres@127.0.0.1:1/small',
    code: 10,
    message: /nothing listens there/,
    hint: /port/,
  },
  'a host that does not exist': {
    database: () => 'postgresql://postgres@nowhere.invalid/small',
    code: 10,
    message: /nowhere\.invalid:\d+\/small: (?:there is no such host|the name of the host cannot be looked up)/,
    hint: /host/,
  },
  'a socket that does not exist': {
    database: () => 'small',
    env: { PGHOST: '/nonexistent' },
    code: 10,
    message: /there is no such socket/,
    hint: /server runs/,
  },
  'a URL of another scheme': {
    database: () => 'mysql://127.0.0.1/small',
    code: 3,
    message: /unknown scheme/,
    hint: /postgresql:/,
  },
  'a URL with a wrong port': {
    database: () => 'postgresql://127.0.0.1:x/small',
    code: 3,
    message: /a port is not a number/,
  },
  'a URL with an unknown parameter': {
    database: () => 'postgresql://127.0.0.1/small?colour=blue',
    code: 3,
    message: /colour/,
    hint: null,
  },
  'TLS where the server has none': {
    database: () => `${teller.cluster.url('small')}?sslmode=require`,
    code: 10,
    message: /the server has no TLS/,
    hint: /ssl/,
  },
};

describe('a database that cannot be reached', () => {
  for (const [what, { database, env = {}, ...expected }] of Object.entries(badConnections)) {
    it(`because of ${what} is not backed up, and nothing is left`, async () => {
      const story = teller.story();
      const run = await story.run(['create', '--database', database(), '--key', 'file:aes.key'], { env });
      assertFailure(run, expected);
      assertNothingBelow(story.storeFolder);
    });
  }

  for (const what of ['a wrong password', 'a database that does not exist', 'a URL of another scheme'] as const) {
    it(`because of ${what} is not restored into`, async () => {
      const { database, env = {}, ...expected } = badConnections[what] ?? {};
      const target = database?.() ?? '';
      const run = await backedUp.run(['restore', '--key', 'file:aes.key', '--target', target], { env });
      assertFailure(run, expected as ExpectedFailure);
    });
  }

  it('or made is not restored into', async () => {
    const env = { PGPASSWORD: 'wrong' };
    const run = await backedUp.run(`restore ${aesKey} --target new_database --create-db`, { env });
    assertFailure(run, {
      code: 10,
      message: /^cannot connect to make or drop a database: .*wrong password/,
      hint: null,
    });
    await assertNoDatabase(teller.cluster, 'new_database');
  });
});

describe('a database that may not be read', () => {
  it('is not backed up by a user without rights, and nothing is left', async () => {
    const story = teller.story();
    const env = { PGUSER: 'reader', PGPASSWORD: 'reads nothing' };
    const run = await story.run(`create -d small ${aesKey}`, { env });
    assertFailure(run, { code: 10, message: /^pg_dump failed .*permission denied/, hint: /pg_read_all_data/ });
    assertNothingBelow(story.storeFolder);
    await assertNoSession(teller.cluster, 'small');
  });

  it('because a table is locked is not waited for longer than told', async () => {
    const story = teller.story();
    const other = await teller.cluster.connect('small');
    try {
      await other.query('BEGIN; LOCK TABLE people');
      const run = await story.run(`create -d small ${aesKey} --lock-wait-timeout 100ms`);
      assertFailure(run, { code: 10, message: /^pg_dump failed .*people/, hint: /lock wait timeout/ });
    } finally {
      await other.end();
    }
    assertNothingBelow(story.storeFolder);
    await assertNoSession(teller.cluster, 'small');
  });

  it('or written is not restored into, and stays empty', async () => {
    await teller.cluster.createDatabase('locked');
    const env = { PGUSER: 'reader', PGPASSWORD: 'reads nothing' };
    const run = await backedUp.run(`restore ${aesKey} --target locked`, { env });
    assertFailure(run, { code: 10, message: /^pg_restore failed .*permission denied/, hint: /rights/ });
    await assertEmptyDatabase(teller.cluster, 'locked');
  });
});

describe('client programs', () => {
  it('that are missing are named, with what to install', async () => {
    const story = teller.story();
    const run = await story.run(`create -d small ${aesKey} --pg-bin ${story.folder}`);
    assertFailure(run, {
      code: 10,
      message: /^cannot find pg_dump in ".*"$/,
      hint: /^Install the PostgreSQL \d+ client/,
    });
    assertNothingBelow(story.storeFolder);
    const restore = await backedUp.run(`restore ${aesKey} --target x --create-db --pg-bin ${story.folder}`);
    assertFailure(restore, { code: 10, message: /^cannot find pg_restore in/, hint: /^Install/ });
    await assertNoDatabase(teller.cluster, 'x');
  });

  it('that are older than the server are refused before anything runs', async () => {
    using tools = makeFakeTools();
    tools.add('pg_dump', `touch ${tools.folder}/ran; ${fakePgDump.whole}`, '9.6.24');
    const story = teller.story();
    const run = await story.run(`create -d small ${aesKey} --pg-bin ${tools.folder}`);
    assertFailure(run, {
      code: 10,
      message: /^pg_dump 9\.6\.24 \(".*pg_dump"\) is too old for PostgreSQL \d+$/,
      hint: /^Install the PostgreSQL \d+ client/,
    });
    assertNothingBelow(story.storeFolder);
    assertNothingBelow(`${tools.folder}/ran`);
  });

  it('that cannot be run count as missing', async () => {
    const story = teller.story();
    story.write('pg_dump', 'no program', 0o755);
    const run = await story.run(`create -d small ${aesKey} --pg-bin ${story.folder}`);
    assertFailure(run, { code: 10, message: /^cannot find pg_dump/ });
    assertNothingBelow(story.storeFolder);
  });
});

it('all that leaves the source as it was, and no session in it', async () => {
  await assertNoSession(teller.cluster, 'small');
  assertSameDatabase(await fingerprintDatabase(teller.cluster, 'small'), original);
});
