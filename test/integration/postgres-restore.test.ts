import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BackupError } from '../../src/core/backup-error.ts';
import { collect, streamOf, type ByteStream } from '../../src/core/byte-stream.ts';
import { restoreArchiveAsScript } from '../../src/postgres/archive-script.ts';
import { findClientTool, type ClientTool } from '../../src/postgres/client-tools.ts';
import { resolveConnection, type Connection } from '../../src/postgres/connection.ts';
import { planPgDump, type DumpFormat } from '../../src/postgres/dump-plan.ts';
import { startPgDump } from '../../src/postgres/pg-dump.ts';
import { listArchive, restoreArchive } from '../../src/postgres/pg-restore.ts';
import { restoreScript } from '../../src/postgres/psql.ts';
import { planPgRestore, type RestoreRequest } from '../../src/postgres/restore-plan.ts';
import { startCluster, type Cluster } from '../support/postgres-cluster.ts';

const rows = 30_000;
const schema = `
  CREATE SCHEMA sales;
  CREATE TABLE sales.orders (id int PRIMARY KEY, text text NOT NULL);
  CREATE TABLE commands (text text);
  CREATE TYPE mood AS ENUM ('good', 'bad');
  INSERT INTO sales.orders SELECT g, repeat(md5(g::text), 10) FROM generate_series(1, ${rows}) AS g;
  INSERT INTO commands VALUES ('COMMIT;'), ('\\.'), ('SET transaction_timeout = 0;');`;

let cluster: Cluster;
let tools: Record<'pg_dump' | 'pg_restore' | 'psql', ClientTool>;
let archive: Buffer;
let script: Buffer;
before(async () => {
  cluster = await startCluster();
  const find = async (name: ClientTool['name']) =>
    await findClientTool(name, { binDir: cluster.binFolder, env: process.env });
  tools = { pg_dump: await find('pg_dump'), pg_restore: await find('pg_restore'), psql: await find('psql') };
  await cluster.createDatabase('shop');
  await cluster.runSql('shop', schema);
  archive = await dump('shop', 'custom');
  script = await dump('shop', 'plain');
});
after(async () => await cluster[Symbol.asyncDispose]());
beforeEach(async () => await cluster.createDatabase('target'));
afterEach(async () => await cluster.dropDatabase('target'));

async function dump(database: string, format: DumpFormat): Promise<Buffer> {
  const connection = connectTo(database);
  await using process = startPgDump({ tool: tools.pg_dump, plan: planPgDump({ format, filters: {} }), connection });
  return await collect(process.output, 256 * 1024 * 1024);
}

function connectTo(database: string): Connection {
  return resolveConnection(cluster.url(database), { HOME: '/nonexistent' });
}

async function countOrders(database = 'target'): Promise<number> {
  const [row] = await cluster.query<{ n: number }>(database, 'SELECT count(*)::int AS n FROM sales.orders');
  return row?.n ?? 0;
}

/** Waits until nobody is in the target, then asserts that a restore has left nothing in it. */
async function assertNothingRestored(): Promise<void> {
  const sql = "SELECT 1 FROM pg_stat_activity WHERE datname = 'target'";
  for (let waits = 0; waits < 200 && (await cluster.query('postgres', sql)).length > 0; waits += 1) await sleep(20);
  const found = await cluster.query('target', "SELECT relname FROM pg_class WHERE oid >= 16384 AND relkind = 'r'");
  assert.deepEqual(found, []);
}

async function* inChunks(bytes: Buffer): ByteStream {
  for (let start = 0; start < bytes.byteLength; start += 64 * 1024) yield bytes.subarray(start, start + 64 * 1024);
}

/** Every byte but the last hundred, then what `end` does. */
async function* almostAll(bytes: Buffer, end: () => Promise<void>): ByteStream {
  yield* inChunks(bytes.subarray(0, -100));
  await end();
}

const failing = async (): Promise<void> => {
  await sleep(200);
  throw new BackupError('integrity', 'wrong digest');
};

const ways = {
  pg_restore: async (source: ByteStream, signal?: AbortSignal, request: RestoreRequest = {}) => {
    const { args, isSelective } = planPgRestore(request);
    const restore = { tool: tools.pg_restore, args, connection: connectTo('target'), signal };
    return await restoreArchive({ ...restore, allowEarlyExit: isSelective }, source);
  },
  'pg_restore and psql': async (source: ByteStream, signal?: AbortSignal, request: RestoreRequest = {}) => {
    const { args } = planPgRestore(request);
    const restore = { tool: tools.pg_restore, args, connection: connectTo('target'), signal };
    return await restoreArchiveAsScript({ ...restore, psql: tools.psql, serverMajor: 15 }, source);
  },
  psql: async (source: ByteStream, signal?: AbortSignal) =>
    await restoreScript({ tool: tools.psql, connection: connectTo('target'), serverMajor: 15, signal }, source),
} as const;

const dumpFor = (way: keyof typeof ways): Buffer => (way === 'psql' ? script : archive);

for (const way of Object.keys(ways) as (keyof typeof ways)[]) {
  describe(`restoring by ${way}`, () => {
    it('brings everything back', async () => {
      await ways[way](inChunks(dumpFor(way)));
      assert.equal(await countOrders(), rows);
      const commands = 'SELECT text FROM commands ORDER BY ctid';
      assert.deepEqual(await cluster.query('target', commands), await cluster.query('shop', commands));
    });

    it('leaves nothing when the source fails near its end', async () => {
      await assert.rejects(ways[way](almostAll(dumpFor(way), failing)), {
        kind: 'integrity',
        message: /^wrong digest/,
      });
      await assertNothingRestored();
    });

    it('leaves nothing when the source is cut off without a word', async () => {
      await assert.rejects(ways[way](almostAll(dumpFor(way), async () => {})), (error) => error instanceof BackupError);
      await assertNothingRestored();
    });

    it('leaves nothing when the signal aborts', async () => {
      const abort = new AbortController();
      const stall = async (): Promise<void> => {
        await sleep(200);
        abort.abort(new Error('interrupted'));
        await new Promise(() => {});
      };
      await assert.rejects(ways[way](almostAll(dumpFor(way), stall), abort.signal), { message: 'interrupted' });
      await assertNothingRestored();
    });

    it('leaves what was there when it fails in the middle', async () => {
      // The type is among the first things restored; what comes before it is rolled back.
      await cluster.runSql('target', "CREATE TYPE mood AS ENUM ('mine')");
      await assert.rejects(ways[way](inChunks(dumpFor(way))), {
        kind: 'postgres',
        message: /type "mood" already exists/,
        hint: /--clean/,
      });
      await assertNothingRestored();
      assert.deepEqual(await cluster.query('target', 'SELECT enum_range(NULL::mood)::text AS is'), [{ is: '{mine}' }]);
    });

    it('fails with the wrong password', async () => {
      await cluster.runSql('postgres', "ALTER ROLE postgres PASSWORD 'changed'");
      try {
        await assert.rejects(ways[way](inChunks(dumpFor(way))), {
          kind: 'postgres',
          message: /password authentication failed/,
        });
      } finally {
        await restorePassword();
      }
    });

    it('leaves nothing when our own process is killed near the end', async () => {
      const child = startVictim(way);
      try {
        child.stdin.write(dumpFor(way).subarray(0, -100));
        await once(child.stdout, 'data');
        for (let waits = 0; waits < 200 && !(await isRestoring()); waits += 1) await sleep(20);
        assert.equal(await isRestoring(), true);
        await sleep(300);
      } finally {
        child.kill('SIGKILL');
      }
      await once(child, 'exit');
      await assertNothingRestored();
    });
  });
}

/** Nobody else may change it back. */
async function restorePassword(): Promise<void> {
  const client = await cluster.connect('postgres', { user: 'postgres', password: 'changed' });
  await client.query(`ALTER ROLE postgres PASSWORD '${cluster.superuser.password}'`);
  await client.end();
}

async function isRestoring(): Promise<boolean> {
  const found = await cluster.query('postgres', "SELECT 1 FROM pg_stat_activity WHERE datname = 'target'");
  return found.length > 0;
}

/** Another process that restores what it gets on stdin; prints a line when it has passed 1 MB on. */
function startVictim(way: keyof typeof ways) {
  const source = new URL('../../src/postgres/', import.meta.url).href;
  const connection = JSON.stringify(cluster.url('target'));
  const code = `
    import { restoreArchive } from '${source}pg-restore.ts';
    import { restoreArchiveAsScript } from '${source}archive-script.ts';
    import { restoreScript } from '${source}psql.ts';
    import { resolveConnection } from '${source}connection.ts';
    const connection = resolveConnection(${connection}, {});
    const { pg_restore, psql } = ${JSON.stringify(tools)};
    async function* source() {
      let passed = 0;
      for await (const chunk of process.stdin) {
        yield chunk;
        passed += chunk.byteLength;
        if (passed > 1e6) process.stdout.write('.');
      }
    }
    const restore = { tool: pg_restore, args: [], connection, psql, serverMajor: 15 };
    const ways = {
      pg_restore: async () => await restoreArchive(restore, source()),
      'pg_restore and psql': async () => await restoreArchiveAsScript(restore, source()),
      psql: async () => await restoreScript({ ...restore, tool: psql }, source()),
    };
    await ways[${JSON.stringify(way)}]();`;
  return spawn(process.execPath, ['--input-type=module-typescript', '--eval', code], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
}

describe('restoring a part', () => {
  for (const way of ['pg_restore', 'pg_restore and psql'] as const) {
    it(`brings one table back (${way})`, async () => {
      await cluster.runSql('target', 'CREATE SCHEMA sales');
      await ways[way](inChunks(archive), undefined, { schemas: ['sales'], tables: ['orders'], noOwner: true });
      assert.equal(await countOrders(), rows);
      assert.deepEqual(await cluster.query('target', "SELECT to_regclass('public.commands') AS is"), [{ is: null }]);
    });

    it(`fails when there is no such table (${way})`, async () => {
      await assert.rejects(ways[way](inChunks(archive), undefined, { tables: ['Orders'] }), {
        kind: 'postgres',
        message: /table "Orders" not found/,
      });
    });
  }

  it('commits nothing before the source was read to its end, by way of psql', async () => {
    // Orders come after commands in the archive, so that pg_restore needs no more than its beginning.
    const late = almostAll(archive, failing);
    await assert.rejects(ways['pg_restore and psql'](late, undefined, { tables: ['commands'] }), { kind: 'integrity' });
    await assertNothingRestored();
  });
});

describe('listing an archive', () => {
  it('gives its table of contents', async () => {
    for (const readToEnd of [false, true]) {
      const text = await listArchive({ tool: tools.pg_restore, readToEnd }, inChunks(archive));
      assert.match(text, /TABLE DATA sales orders postgres/);
    }
  });

  it('fails for something else', async () => {
    for (const bytes of [script, Buffer.from('nothing'), archive.subarray(0, 50)]) {
      await assert.rejects(listArchive({ tool: tools.pg_restore }, streamOf(bytes)), { kind: 'postgres' });
    }
  });
});

describe('a script that commits on its own', () => {
  it('is restored, and reported: pg_dump does that around large objects', async () => {
    await cluster.createDatabase('pictures');
    await cluster.runSql(
      'pictures',
      "SELECT lo_from_bytea(42, 'picture'); CREATE TABLE t AS SELECT 42::oid AS picture",
    );
    const report = await ways.psql(inChunks(await dump('pictures', 'plain')));
    assert.equal(report.committedEarly, true);
    const found = await cluster.query('target', "SELECT encode(lo_get(picture), 'escape') AS is FROM t");
    assert.deepEqual(found, [{ is: 'picture' }]);
    assert.equal((await ways.psql(streamOf(lastLines))).committedEarly, false);
  });

  it('is said to have left a part behind when it fails after that', async () => {
    const text = `CREATE TABLE early ();\nCOMMIT;\nSELECT nothing;\n${lastLines}`;
    await assert.rejects(ways.psql(streamOf(text)), {
      kind: 'postgres',
      message: /column "nothing" does not exist.* \(the script contains COMMIT: a part of it may be in the database\)$/,
    });
    assert.deepEqual(await cluster.query('target', "SELECT to_regclass('early')::text AS is"), [{ is: 'early' }]);
  });
});

const lastLines = '--\n-- PostgreSQL database dump complete\n--\n\n';

describe('a script that is cut off inside a statement', () => {
  for (const [what, text] of [
    ['COPY', 'CREATE TABLE t (a text);\nCOPY t FROM stdin;\nfirst\nsecond\n'],
    ['a string', "CREATE TABLE t (a text);\nINSERT INTO t VALUES ('half"],
    ['a function', 'CREATE TABLE t (a text);\nCREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT'],
  ] as const) {
    it(`leaves nothing (${what})`, async () => {
      const restore = { tool: tools.psql, connection: connectTo('target'), serverMajor: 15, allowForeignScript: true };
      await assert.rejects(restoreScript(restore, streamOf(text)), (error) => error instanceof BackupError);
      await assertNothingRestored();
    });
  }
});
