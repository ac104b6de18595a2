import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Client } from 'pg';
import { assertFailure, assertNoDatabase, assertNoSession, databaseExists } from '../support/cli-assertions.ts';
import { assertSameDatabase } from '../support/database-difference.ts';
import { fingerprintDatabase, type DatabaseFingerprint } from '../support/database-fingerprint.ts';
import { createSmallDatabase } from '../support/sample-database.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';
import { waitUntil } from '../support/wait-until.ts';

let teller: StoryTeller;
let story: Story;
let original: DatabaseFingerprint;
before(async () => {
  teller = await openStoryTeller();
  await createSmallDatabase(teller.cluster, 'small');
  original = await fingerprintDatabase(teller.cluster, 'small');
  story = teller.story();
  await story.create('small', `${aesKey} --jobs 2 --label streams`);
  await story.create('small', `${aesKey} --jobs 1 --label single`);
});
after(async () => await teller[Symbol.asyncDispose]());

/** To be followed by the target, whose name may have blanks in it. */
const swapStreams = `restore --label streams ${aesKey} --swap --target`.split(' ');

/** A database with contents of its own. */
async function createTheirs(name: string): Promise<void> {
  await teller.cluster.createDatabase(name);
  await teller.cluster.runSql(name, `CREATE TABLE theirs AS SELECT 'kept' AS text`);
}

async function assertTheirs(name: string): Promise<void> {
  assert.equal(await teller.cluster.runSql(name, 'SELECT text FROM theirs'), 'kept\n');
}

/** A new tablespace, in which only superusers may make anything. */
async function moveToTablespace(quotedName: string, tablespace: string): Promise<void> {
  const client = await teller.cluster.connect('postgres');
  await client.query('SET allow_in_place_tablespaces = on');
  await client.query(`CREATE TABLESPACE ${tablespace} LOCATION ''`);
  await client.query(`ALTER DATABASE ${quotedName} SET TABLESPACE ${tablespace}`);
  await client.end();
}

/** Databases whose names begin so. */
async function databasesLike(prefix: string): Promise<string[]> {
  const sql = 'SELECT datname FROM pg_database WHERE starts_with(datname, $1) ORDER BY 1';
  return (await teller.cluster.query<{ datname: string }>('postgres', sql, [prefix])).map(({ datname }) => datname);
}

describe('restore --swap', () => {
  for (const [label, jobs] of [
    ['streams', 1],
    ['streams', 2],
    ['single', 1],
    ['single', 2],
  ] as const) {
    it(`takes the place of a database, which stays under another name: ${label}, ${jobs} jobs`, async () => {
      const name = `swap_${label}_${jobs}`;
      await createTheirs(name);
      const printed = await story.succeed(`restore --label ${label} ${aesKey} --target ${name} --swap --jobs ${jobs}`);
      const former = new RegExp(`; the database before it is now "(${name}_before_[0-9a-f]{6})"\n$`).exec(printed)?.[1];
      assert.ok(former !== undefined, printed);
      await assertTheirs(former);
      assertSameDatabase(await fingerprintDatabase(teller.cluster, name), original);
      assert.deepEqual(await databasesLike(name), [name, former]);
    });
  }

  it('says in JSON what the database before it is called', async () => {
    await createTheirs('in_json');
    const { formerName } = await story.ask<{ formerName: string }>(
      `restore --label streams ${aesKey} --target in_json --swap`,
    );
    await assertTheirs(formerName);
    const { formerName: none } = await story.ask<{ formerName: null }>(
      `restore --label streams ${aesKey} --target not_swapped --create-db`,
    );
    assert.equal(none, null);
  });

  it('shortens a name that has no room for more', async () => {
    const name = 'ä'.repeat(31);
    await createTheirs(name);
    const { formerName } = await story.ask<{ formerName: string }>([...swapStreams, teller.cluster.url(name)]);
    assert.match(formerName, /^ä{24}_before_[0-9a-f]{6}$/);
    await assertTheirs(formerName);
    assertSameDatabase(await fingerprintDatabase(teller.cluster, name), original);
  });

  it('carries owner, privileges, settings, tablespace, limits and comment over', async () => {
    const name = 'Has "traits"';
    await createTheirs(name);
    await teller.cluster.runSql(
      'postgres',
      `CREATE ROLE owner_of_it; CREATE ROLE reader; CREATE ROLE "Odd ""one""";
       ALTER DATABASE "Has ""traits""" OWNER TO owner_of_it;
       REVOKE ALL ON DATABASE "Has ""traits""" FROM PUBLIC;
       GRANT CONNECT, TEMPORARY ON DATABASE "Has ""traits""" TO reader WITH GRANT OPTION;
       GRANT CREATE ON DATABASE "Has ""traits""" TO "Odd ""one""";
       ALTER DATABASE "Has ""traits""" CONNECTION LIMIT 17;
       ALTER DATABASE "Has ""traits""" SET search_path = "$user", public, "odd, one";
       ALTER DATABASE "Has ""traits""" SET work_mem = '12MB';
       ALTER DATABASE "Has ""traits""" SET "app.motto" = 'it''s = so';
       ALTER DATABASE "Has ""traits""" SET timezone = 'Europe/Berlin';
       ALTER ROLE "Odd ""one""" IN DATABASE "Has ""traits""" SET statement_timeout = '3s';
       COMMENT ON DATABASE "Has ""traits""" IS 'the shop''s \\ own';`,
    );
    await moveToTablespace('"Has ""traits"""', 'other_disk');
    await teller.cluster.query('postgres', 'ALTER DATABASE "Has ""traits""" IS_TEMPLATE true');
    const before = await traitsOf(name);
    await story.succeed([...swapStreams, teller.cluster.url(name)]);
    assert.deepEqual(await traitsOf(name), before);
    assert.equal(await teller.cluster.runSql(name, 'SHOW work_mem'), '12MB\n');
  });

  it('wins against clients that stay connected and come back at once', async () => {
    await createTheirs('busy');
    const clients = new ReturningClients('busy');
    await clients.begin(3);
    const { formerName } = await story.ask<{ formerName: string }>(
      `restore --label streams ${aesKey} --target busy --swap --jobs 2`,
    );
    assert.ok((await clients.end()) > 0, 'no client was sent away');
    await assertTheirs(formerName);
    assertSameDatabase(await fingerprintDatabase(teller.cluster, 'busy'), original);
    for (const name of ['busy', formerName]) {
      const [row] = await teller.cluster.query(
        'postgres',
        'SELECT datallowconn AS open FROM pg_database WHERE datname = $1',
        [name],
      );
      assert.deepEqual(row, { open: true });
    }
  });

  it('takes the default tablespace where the role may use no other, and says so', async () => {
    await createTheirs('elsewhere');
    await moveToTablespace('elsewhere', 'closed_disk');
    await teller.cluster.query('postgres', `CREATE ROLE mover LOGIN PASSWORD 'mover' CREATEDB`);
    await teller.cluster.query('postgres', 'ALTER DATABASE elsewhere OWNER TO mover');
    const env = { PGUSER: 'mover', PGPASSWORD: 'mover' };
    const run = await story.run(`restore --label streams ${aesKey} --target elsewhere --swap --no-owner`, { env });
    assert.equal(run.code, 0, run.stderr);
    assert.match(run.stderr, /warn: the role may make no database in tablespace "closed_disk"/);
    assert.match(JSON.stringify(await traitsOf('elsewhere')), /"tablespace":"pg_default"/);
  });

  it('names each setting that the role may not carry over', async () => {
    await createTheirs('tuned');
    await teller.cluster.runSql(
      'postgres',
      `CREATE ROLE keeper LOGIN PASSWORD 'keeper' CREATEDB; CREATE ROLE "Odd ""user""";
       ALTER DATABASE tuned OWNER TO keeper;
       ALTER DATABASE tuned SET log_min_duration_statement = '1s';
       ALTER DATABASE tuned SET work_mem = '12MB';
       ALTER ROLE "Odd ""user""" IN DATABASE tuned SET statement_timeout = '3s';
       ALTER ROLE keeper IN DATABASE tuned SET statement_timeout = '5s'`,
    );
    const env = { PGUSER: 'keeper', PGPASSWORD: 'keeper' };
    const run = await story.run(`restore --label streams ${aesKey} --target tuned --swap --no-owner`, { env });
    assert.equal(run.code, 0, run.stderr);
    const named = [...run.stderr.matchAll(/warn: (setting .*) is not carried over from "tuned_before_[0-9a-f]{6}"/g)];
    assert.deepEqual(
      new Set(named.map(([, setting]) => setting)),
      new Set(['setting "log_min_duration_statement"', 'setting "statement_timeout" of role "Odd "user""']),
    );
    assert.match(run.stderr, /permission denied to set parameter "log_min_duration_statement"/);
    const { settings } = (await traitsOf('tuned')) as { readonly settings: readonly string[] };
    assert.deepEqual(
      settings.map((setting) => setting.replace(/^\d+ /, '')),
      ['work_mem=12MB', 'statement_timeout=5s'],
    );
  });

  it('lets in nobody who was not let in before', async () => {
    await createTheirs('closed');
    await teller.cluster.query('postgres', 'ALTER DATABASE closed ALLOW_CONNECTIONS false');
    const run = await story.run(`restore --label streams ${aesKey} --target closed --swap --jobs 2`);
    assert.equal(run.code, 0, run.stderr);
    await assert.rejects(teller.cluster.connect('closed'), /not currently accepting connections/);
    await teller.cluster.query('postgres', 'ALTER DATABASE closed ALLOW_CONNECTIONS true');
    assertSameDatabase(await fingerprintDatabase(teller.cluster, 'closed'), original);
  });
});

async function traitsOf(name: string): Promise<unknown> {
  const sql = `SELECT pg_get_userbyid(datdba) AS owner, datconnlimit AS limit, datistemplate AS template,
      (SELECT spcname FROM pg_tablespace AS t WHERE t.oid = dattablespace) AS tablespace, shobj_description(d.oid, 'pg_database') AS comment,
      ARRAY(SELECT format('%s %s %s', coalesce(nullif(a.grantee, 0)::regrole::text, 'public'), a.privilege_type, a.is_grantable)
        FROM aclexplode(datacl) AS a ORDER BY 1) AS privileges,
      ARRAY(SELECT format('%s %s', s.setrole, setting) FROM pg_db_role_setting AS s, unnest(s.setconfig) AS setting
        WHERE s.setdatabase = d.oid ORDER BY 1) AS settings
    FROM pg_database AS d WHERE datname = $1`;
  const rows = await teller.cluster.query('postgres', sql, [name]);
  assert.equal(rows.length, 1);
  return rows[0];
}

/** Clients that connect again as soon as they lose their connection. */
class ReturningClients {
  readonly #database: string;
  readonly #clients = new Set<Client>();
  #loops: Promise<void>[] = [];
  #isEnding = false;
  #losses = 0;

  constructor(database: string) {
    this.#database = database;
  }

  async begin(count: number): Promise<void> {
    this.#loops = Array.from({ length: count }, async () => await this.#stay());
    await waitUntil(() => this.#clients.size === count, 'all clients are connected');
  }

  /** How many connections were lost. */
  async end(): Promise<number> {
    this.#isEnding = true;
    await Promise.all([...this.#clients].map(async (client) => await client.end()));
    await Promise.all(this.#loops);
    return this.#losses;
  }

  async #stay(): Promise<void> {
    while (!this.#isEnding) {
      // Refused while the names change.
      const client = await teller.cluster.connect(this.#database).catch(() => null);
      if (client === null) continue;
      client.on('error', () => {});
      if (this.#isEnding) return await client.end();
      this.#clients.add(client);
      await new Promise((resolve) => client.once('end', resolve));
      this.#clients.delete(client);
      if (!this.#isEnding) this.#losses += 1;
    }
  }
}

describe('restore --swap that cannot be done leaves the database as it was, and no other one', () => {
  const failing = (name: string, more = '') => `restore --label streams ${aesKey} --target ${name} ${more}`;

  it('for there is none of that name', async () => {
    const run = await story.run(failing('not_there', '--swap'));
    assertFailure(run, { code: 50, message: /^there is no database "not_there" whose place/, hint: /--create-db/ });
    await assertNoDatabase(teller.cluster, 'not_there');
  });

  it('for --create-db was meant, or --swap instead of it', async () => {
    await createTheirs('is_there');
    const run = await story.run(failing('is_there', '--create-db --jobs 2'));
    assertFailure(run, { code: 50, message: /^database "is_there" exists already$/, hint: /--swap/ });
    await assertTheirs('is_there');
    assert.deepEqual(await databasesLike('is_there'), ['is_there']);
  });

  for (const [flags, message] of [
    ['--swap --clean', /^--swap and --clean exclude each other$/],
    ['--swap --create-db', /^--create-db and --swap exclude each other$/],
    ['--clean --jobs 2', /^a restore with several jobs is not possible with --clean/],
    ['--create-db --clean --swap', /exclude each other$/],
  ] as const) {
    it(`for ${flags} cannot be`, async () => {
      await createTheirs('flags');
      const run = await story.run(failing('flags', flags));
      assertFailure(run, { code: 2, message, hint: null });
      await assertTheirs('flags');
      assert.deepEqual(await databasesLike('flags'), ['flags']);
      await teller.cluster.dropDatabase('flags');
    });
  }

  for (const jobs of [1, 2]) {
    it(`for the restore fails at its end, with ${jobs} jobs`, async () => {
      const source = `source_of_${jobs}`;
      const own = teller.story();
      await teller.cluster.createDatabase(source, { from: 'small' });
      await teller.cluster.runSql(source, `CREATE ROLE here_${jobs}; GRANT SELECT ON visits TO here_${jobs}`);
      await own.create(source, `${aesKey} --jobs 2`);
      await teller.cluster.query('postgres', `ALTER ROLE here_${jobs} RENAME TO gone_${jobs}`);
      await createTheirs('untouched');
      const before = await traitsOf('untouched');
      const run = await own.run(`restore ${aesKey} --target untouched --swap --jobs ${jobs}`);
      assertFailure(run, { code: 10, message: /role "here_\d" does not exist/, hint: /--no-owner/ });
      await assertTheirs('untouched');
      assert.deepEqual(await traitsOf('untouched'), before);
      assert.deepEqual(await databasesLike('untouched'), ['untouched']);
      await assertNoSession(teller.cluster, 'untouched');
      await teller.cluster.dropDatabase('untouched');
    });
  }

  const limited = {
    'neither its owner nor a maker of databases': { rights: '', owns: false },
    'no maker of databases': { rights: '', owns: true },
    'not its owner': { rights: 'CREATEDB', owns: false },
  } as const;
  for (const [index, [who, { rights, owns }]] of Object.entries(limited).entries()) {
    it(`for the role is ${who}`, async () => {
      const [name, role] = [`rights_${index}`, `limited_${index}`];
      await createTheirs(name);
      await teller.cluster.query('postgres', `CREATE ROLE ${role} LOGIN PASSWORD 'limited' ${rights}`);
      if (owns) await teller.cluster.query('postgres', `ALTER DATABASE ${name} OWNER TO ${role}`);
      const env = { PGUSER: role, PGPASSWORD: 'limited' };
      const run = await story.run(failing(name, '--swap --no-owner'), { env });
      assertFailure(run, { code: 10, message: /^the role may not put another database in the place of "rights_/ });
      await assertTheirs(name);
      assert.deepEqual(await databasesLike(name), [name]);
    });
  }

  it('for the role is a member of its owner that does not inherit', async () => {
    await createTheirs('not_inherited');
    await teller.cluster.runSql(
      'postgres',
      `CREATE ROLE owners; ALTER DATABASE not_inherited OWNER TO owners;
       CREATE ROLE member LOGIN PASSWORD 'member' CREATEDB NOINHERIT IN ROLE owners`,
    );
    const env = { PGUSER: 'member', PGPASSWORD: 'member' };
    const run = await story.run(failing('not_inherited', '--swap --no-owner'), { env });
    assertFailure(run, { code: 10, message: /^the role may not put another database in the place of "not_inherited"/ });
    await assertTheirs('not_inherited');
  });

  it('for the role may not end the sessions of a superuser in it; once they are gone, it can', async () => {
    await createTheirs('held');
    await teller.cluster.runSql(
      'held',
      `CREATE ROLE maker LOGIN PASSWORD 'maker' CREATEDB; ALTER DATABASE held OWNER TO maker; ALTER TABLE theirs OWNER TO maker`,
    );
    // Cannot be dropped, as soon as it is one.
    await teller.cluster.query('postgres', 'ALTER DATABASE held IS_TEMPLATE true');
    const env = { PGUSER: 'maker', PGPASSWORD: 'maker' };
    const holder = await teller.cluster.connect('held');
    const run = await story.run(failing('held', '--swap --no-owner'), { env });
    assertFailure(run, {
      code: 10,
      message: /^cannot end the sessions in database "held": /,
      hint: /pg_signal_backend/,
    });
    assert.equal((await holder.query('SELECT text FROM theirs')).rows.length, 1);
    await holder.end();
    await assertTheirs('held');
    assert.deepEqual(await databasesLike('held'), ['held']);
    const { formerName } = await story.ask<{ formerName: string }>(failing('held', '--swap --no-owner'), { env });
    assert.equal(await databaseExists(teller.cluster, formerName), true);
    await assertTheirs(formerName);
  });
});
