import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { collect, type ByteStream } from '../../src/core/byte-stream.ts';
import { findClientTool, type ClientTool } from '../../src/postgres/client-tools.ts';
import { resolveConnection } from '../../src/postgres/connection.ts';
import { planPgDump, type DumpFilters } from '../../src/postgres/dump-plan.ts';
import { startPgDump } from '../../src/postgres/pg-dump.ts';
import { startCluster, type Cluster } from '../support/postgres-cluster.ts';

/** Far more than pipes and buffers hold, so that pg_dump is in the middle of it while nobody reads. */
const bigTable =
  'CREATE TABLE big AS SELECT g AS id, repeat(md5(g::text), 30) AS text FROM generate_series(1, 30000) AS g';
const maxBytes = 256 * 1024 * 1024;

let cluster: Cluster;
let tool: ClientTool;
before(async () => {
  cluster = await startCluster();
  await cluster.createDatabase('shop');
  await cluster.runSql('shop', `${bigTable}; CREATE TABLE small AS SELECT 1 AS x;`);
  tool = await findClientTool('pg_dump', { binDir: cluster.binFolder, env: process.env });
});
after(async () => await cluster[Symbol.asyncDispose]());

function start(
  database: string,
  options: { filters?: DumpFilters; signal?: AbortSignal; lockWaitTimeout?: string } = {},
) {
  const { filters = {}, signal, lockWaitTimeout } = options;
  const plan = planPgDump({ format: 'custom', filters, lockWaitTimeout });
  return startPgDump({ tool, plan, connection: resolveConnection(database, { HOME: '/nonexistent' }) }, { signal });
}

/** Reads the first chunk of `output`, does `act` while pg_dump waits for us, then reads the rest. */
async function readAround(output: ByteStream, act: () => Promise<void>): Promise<number> {
  let sizeBytes = 0;
  for await (const chunk of output) {
    if (sizeBytes === 0) await act();
    sizeBytes += chunk.byteLength;
  }
  return sizeBytes;
}

/** pg_dump's process id: our child that has `marker` among its arguments. */
function findProcess(marker: string): number {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const found = pids.find((pid) => pid !== String(process.pid) && readProcess(pid, 'cmdline').includes(marker));
  assert.ok(found, 'pg_dump runs');
  return Number(found);
}

function readProcess(pid: number | string, file: 'cmdline' | 'environ'): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}

async function countDumpSessions(): Promise<number> {
  const rows = await cluster.query('postgres', "SELECT 1 FROM pg_stat_activity WHERE application_name = 'pg_dump'");
  return rows.length;
}

/** Makes pg_dump wait before it writes anything. */
async function lockSmallTable(): Promise<AsyncDisposable> {
  const client = await cluster.connect('shop');
  await client.query('BEGIN; LOCK TABLE small IN ACCESS EXCLUSIVE MODE');
  return { [Symbol.asyncDispose]: async () => await client.end() };
}

describe('pg_dump of a real database', () => {
  it('gives an archive', async () => {
    await using dump = start(cluster.url('shop'), { filters: { tables: ['small'] } });
    const bytes = await collect(dump.output, maxBytes);
    assert.equal(bytes.subarray(0, 5).toString(), 'PGDMP');
  });

  it('gives an archive over the socket, and with a password full of signs', async () => {
    const password = String.raw`a:b\c'd "e" %40 ünï`;
    await cluster.runSql('postgres', "CREATE ROLE odd LOGIN SUPERUSER PASSWORD :'password'", { password });
    const text = `host=${cluster.socketFolder} port=${cluster.port} dbname=shop user=odd password='${password.replaceAll(/['\\]/g, String.raw`\$&`)}'`;
    for (const database of [text, cluster.url('shop', { user: 'odd', password })]) {
      await using dump = start(database, { filters: { schemaOnly: true } });
      assert.ok((await collect(dump.output, maxBytes)).byteLength > 0);
    }
  });

  it('fails with the wrong password, and without one', async () => {
    const { user } = cluster.superuser;
    await using wrong = start(cluster.url('shop', { user, password: 'hunter2' }));
    await assert.rejects(collect(wrong.output, maxBytes), {
      kind: 'postgres',
      message:
        /^pg_dump failed \(exit code 1\): connection to server .* failed: FATAL: {2}password authentication failed/,
      hint: /PGPASSWORD/,
    });
    await using none = start(`host=127.0.0.1 port=${cluster.port} user=${user} dbname=shop`);
    await assert.rejects(collect(none.output, maxBytes), { kind: 'postgres', message: /no password supplied/ });
  });

  it('fails when the database does not exist, or the table', async () => {
    await using database = start(cluster.url('nothing'));
    await assert.rejects(collect(database.output, maxBytes), { message: /database "nothing" does not exist/ });
    await using table = start(cluster.url('shop'), { filters: { tables: ['nothing'] } });
    await assert.rejects(collect(table.output, maxBytes), { message: /no matching tables were found/, hint: /names/ });
  });

  it('fails without the right to read', async () => {
    const login = { user: 'nobody', password: 'x' };
    await cluster.runSql('postgres', "CREATE ROLE nobody LOGIN PASSWORD 'x'");
    await using dump = start(cluster.url('shop', login));
    await assert.rejects(collect(dump.output, maxBytes), {
      message: /permission denied for table/,
      hint: /pg_read_all_data/,
    });
  });

  it('fails when somebody holds a lock for longer than it may wait', async () => {
    await using _lock = await lockSmallTable();
    await using dump = start(cluster.url('shop'), { lockWaitTimeout: '200ms' });
    await assert.rejects(collect(dump.output, maxBytes), {
      message: /due to statement timeout/,
      hint: /schema change/,
    });
  });

  it('fails when pg_dump is killed in the middle', async () => {
    await using dump = start(`${cluster.url('shop')}?application_name=pg_dump&options=-c%20search_path%3Dkill_me`);
    const reading = readAround(dump.output, async () => {
      process.kill(findProcess('kill_me'), 'SIGKILL');
      await sleep(100);
    });
    await assert.rejects(reading, { kind: 'postgres', message: 'pg_dump failed (killed by SIGKILL)' });
  });

  it('shows its password to nobody while it runs', async () => {
    await using dump = start(`${cluster.url('shop')}?options=-c%20search_path%3Dlook_at_me`);
    await readAround(dump.output, async () => {
      const pid = findProcess('look_at_me');
      const { password } = cluster.superuser;
      assert.match(readProcess(pid, 'cmdline'), /look_at_me/);
      assert.match(readProcess(pid, 'environ'), /PGPASSFILE=\/proc\/self\/fd\/3/);
      for (const file of ['cmdline', 'environ'] as const) assert.ok(!readProcess(pid, file).includes(password));
    });
  });

  it('leaves no session on the server when the signal aborts', async () => {
    const abort = new AbortController();
    await using _lock = await lockSmallTable();
    await using dump = start(`${cluster.url('shop')}?application_name=pg_dump`, { signal: abort.signal });
    const reading = collect(dump.output, maxBytes);
    for (let waits = 0; waits < 100 && (await countDumpSessions()) === 0; waits += 1) await sleep(20);
    await sleep(200);
    abort.abort(new Error('interrupted'));
    await assert.rejects(reading, { message: 'interrupted' });
    // The lock it waits for is still held: only a cancelled query ends now.
    for (let waits = 0; waits < 100 && (await countDumpSessions()) > 0; waits += 1) await sleep(20);
    assert.equal(await countDumpSessions(), 0);
  });
});

// Last, because the server is never the same again.
describe('pg_dump of a server that goes down in the middle', () => {
  it('fails', async () => {
    await using dump = start(cluster.url('shop'));
    await assert.rejects(
      readAround(dump.output, async () => await cluster.stop('immediate')),
      {
        kind: 'postgres',
        message: /^pg_dump failed \(exit code 1\): /,
        hint: /log of the server/,
      },
    );
  });
});
