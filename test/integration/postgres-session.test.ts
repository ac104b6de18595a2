import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { BackupError } from '../../src/core/backup-error.ts';
import { resolveConnection } from '../../src/postgres/connection.ts';
import { acquireLabelLock } from '../../src/postgres/label-lock.ts';
import { readServerInfo } from '../../src/postgres/server-info.ts';
import { openSession, type Session } from '../../src/postgres/session.ts';
import { startCluster, type Cluster } from '../support/postgres-cluster.ts';

const applicationName = 'librelog-backup';
let cluster: Cluster;
let home: string;
before(async () => {
  home = mkdtempSync(join(tmpdir(), 'lb-home-'));
  cluster = await startCluster();
  await cluster.createDatabase('shop');
  await cluster.runSql('postgres', "CREATE ROLE ann LOGIN PASSWORD 'p@ss: \\w/%'");
});
after(async () => {
  await cluster[Symbol.asyncDispose]();
  rmSync(home, { recursive: true });
});

const ann = { user: 'ann', password: String.raw`p@ss: \w/%` };

async function open(database: string | undefined, env: Record<string, string> = {}): Promise<Session> {
  return await openSession(resolveConnection(database, { HOME: home, ...env }), { applicationName });
}

async function whoAmI(database: string | undefined, env: Record<string, string> = {}) {
  await using session = await open(database, env);
  const [row] = await session.query('SELECT current_user AS "user", current_database() AS database');
  return row;
}

/** A file that only we may read. */
function writeFile(name: string, text: string): string {
  const path = join(home, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

const passfile = () => writeFile('passfile', `*:${cluster.port}:shop:ann:p@ss\\: \\\\w/%\n`);

describe('connecting', () => {
  const expected = { user: 'ann', database: 'shop' };

  it('by a URI', async () => assert.deepEqual(await whoAmI(cluster.url('shop', ann)), expected));

  it('by a URI with the folder of a Unix socket', async () => {
    const uri = `postgresql://ann:p%40ss%3A%20%5Cw%2F%25@/shop?host=${cluster.socketFolder}&port=${cluster.port}`;
    assert.deepEqual(await whoAmI(uri), expected);
  });

  it('by a key/value string', async () => {
    const text = `host=127.0.0.1 port=${cluster.port} user=ann dbname=shop password='p@ss: \\\\w/%'`;
    assert.deepEqual(await whoAmI(text), expected);
  });

  it('by the environment, and a plain name', async () => {
    assert.deepEqual(await whoAmI(undefined, cluster.env('shop', ann)), expected);
    assert.deepEqual(await whoAmI('shop', cluster.env('postgres', ann)), expected);
  });

  it('by a service and a password file', async () => {
    const service = writeFile(
      'services',
      `[shop]\nhost=localhost\nhostaddr=127.0.0.1\nport=${cluster.port}\nuser=ann\ndbname=shop\n`,
    );
    const env = { PGSERVICEFILE: service, PGSERVICE: 'shop', PGPASSFILE: passfile() };
    assert.deepEqual(await whoAmI(undefined, env), expected);
  });

  it('to the first of several servers that answers, and stays with it', async () => {
    const uri = `postgresql://ann@127.0.0.1:1,127.0.0.1:${cluster.port},127.0.0.1:2/shop`;
    await using session = await open(uri, { PGPASSFILE: passfile() });
    assert.deepEqual(
      session.connection.servers.map(({ port }) => port),
      [cluster.port],
    );
  });

  it('only to a server of the wanted sort', async () => {
    assert.deepEqual(await whoAmI(`${cluster.url('shop', ann)}?target_session_attrs=primary`), expected);
    assert.deepEqual(await whoAmI(`${cluster.url('shop', ann)}?target_session_attrs=prefer-standby`), expected);
    await assert.rejects(open(`${cluster.url('shop', ann)}?target_session_attrs=standby`), {
      kind: 'postgres',
      message: 'no server meets target_session_attrs=standby',
    });
  });

  it('shows who we are, and passes options on', async () => {
    await using session = await open(`${cluster.url('shop', ann)}?options=-c%20geqo%3Doff`);
    const [row] = await session.query(
      "SELECT current_setting('application_name') AS name, current_setting('geqo') AS geqo",
    );
    assert.deepEqual(row, { name: applicationName, geqo: 'off' });
  });
});

async function fails(database: string, expected: { readonly message: RegExp; readonly hint?: RegExp }): Promise<void> {
  await assert.rejects(open(database), (error: BackupError) => {
    assert.equal(error.kind, 'postgres');
    assert.match(error.message, expected.message);
    assert.doesNotMatch(`${error.message}${error.hint}`, /hunter2/);
    assert.match(error.hint ?? '', expected.hint ?? /\.$/);
    return true;
  });
}

function at(address: string, parameters = ''): string {
  return `postgresql://ann:hunter2@${address}/shop${parameters}`;
}

describe('what cannot be connected to', () => {
  it('wrong password', async () => {
    const message = /^cannot connect to postgresql:\/\/ann@127\.0\.0\.1:\d+\/shop: wrong password \(.*"ann"\)$/;
    await fails(at(`127.0.0.1:${cluster.port}`), { message, hint: /PGPASSWORD/ });
  });

  it('no password', async () => {
    const message = /the server wants a password, and there is none/;
    await fails(`postgresql://ann@127.0.0.1:${cluster.port}/shop`, { message, hint: /PGPASSWORD/ });
  });

  it('no such database', async () => {
    const message = /there is no such database \(database "nothing" does not exist\)/;
    await fails(cluster.url('nothing', ann), { message, hint: /name of the database/ });
  });

  it('nothing listens', async () => await fails(at('127.0.0.1:1'), { message: /shop: nothing listens there$/ }));
  it('no such host', async () => await fails(at('host.invalid'), { message: /no such host|cannot be looked up/ }));
  it('no such socket', async () => await fails('host=/nonexistent dbname=x', { message: /there is no such socket/ }));

  it('too many connections', async () => {
    await cluster.runSql('postgres', 'ALTER ROLE ann CONNECTION LIMIT 0');
    try {
      await fails(cluster.url('shop', ann), { message: /too many connections/, hint: /Try again later/ });
    } finally {
      await cluster.runSql('postgres', 'ALTER ROLE ann CONNECTION LIMIT -1');
    }
  });

  it('a server that never answers', async () => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const startedAt = performance.now();
    await fails(at(`127.0.0.1:${port}`, '?connect_timeout=1'), { message: /no answer in time/ });
    assert.ok(performance.now() - startedAt < 4000);
    silent.close();
  });

  it('a server without TLS, when TLS is demanded', async () => {
    const message = /the server has no TLS/;
    await fails(at(`127.0.0.1:${cluster.port}`, '?sslmode=require'), { message, hint: /ssl/ });
  });

  for (const [parameter, message] of [
    ['sslmode=maybe', /unknown sslmode "maybe"/],
    ['sslmode=verify-full', /needs a root certificate/],
    ['sslmode=require&sslrootcert=/nonexistent', /cannot read TLS file/],
    ['channel_binding=require', /channel_binding=require is not supported/],
    ['connect_timeout=soon', /not a whole number/],
    ['target_session_attrs=any-old', /unknown target_session_attrs/],
  ] as const) {
    it(`${parameter} is an error of the configuration`, async () => {
      await assert.rejects(open(at(`127.0.0.1:${cluster.port}`, `?${parameter}`)), { kind: 'config', message });
    });
  }

  it('nothing, when the signal aborts first', async () => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const connection = resolveConnection(at(`127.0.0.1:${port}`), { HOME: home });
    const signal = AbortSignal.timeout(100);
    await assert.rejects(openSession(connection, { applicationName, signal }), { name: 'TimeoutError' });
    silent.close();
  });
});

describe('a session', () => {
  it('tells about server and database', async () => {
    await using session = await open(cluster.url('shop'));
    const { at, sizeBytes, version, ...info } = await readServerInfo(session);
    assert.match(version, /^15\.\d+$/);
    assert.ok(Math.abs(at.getTime() - Date.now()) < 60_000);
    assert.ok(sizeBytes > 1_000_000);
    const { versionNum, ...rest } = info;
    assert.equal(Math.floor(versionNum / 10_000), 15);
    assert.deepEqual(rest, {
      major: 15,
      database: 'shop',
      encoding: 'UTF8',
      collate: 'C',
      ctype: 'C',
      inRecovery: false,
    });
  });

  it('is not bothered by the settings of a role', async () => {
    await cluster.runSql(
      'postgres',
      "ALTER ROLE ann SET statement_timeout = '100ms'; ALTER ROLE ann SET search_path = public",
    );
    await using session = await open(cluster.url('shop', ann));
    const [row] = await session.query(
      "SELECT pg_sleep(0.3), current_setting('search_path') AS path, current_setting('idle_session_timeout') AS idle",
    );
    assert.deepEqual([row?.['path'], row?.['idle']], ['', '0']);
  });

  it('names the address when a query fails', async () => {
    await using session = await open(cluster.url('shop'));
    await assert.rejects(session.query('SELECT nothing'), {
      kind: 'postgres',
      message: /^query failed on postgresql:.*\/shop: column "nothing" does not exist$/,
    });
    assert.deepEqual(await session.query('SELECT $1::int AS x', [1]), [{ x: 1 }]);
  });

  it('keeps the warnings of the server until they are taken', async () => {
    await using session = await open(cluster.url('shop'));
    await session.query(`DO $$ BEGIN RAISE NOTICE 'all is well'; RAISE WARNING 'odd'; END $$`);
    assert.deepEqual(session.takeWarnings(), ['WARNING: odd']);
    assert.deepEqual(session.takeWarnings(), []);
  });

  it('ends a query, with the reason, when the signal aborts', async () => {
    const connection = resolveConnection(cluster.url('shop'), {});
    const abort = new AbortController();
    await using session = await openSession(connection, { applicationName, signal: abort.signal });
    const query = session.query('SELECT pg_sleep(60)');
    setTimeout(() => abort.abort(new Error('interrupted')), 100);
    await assert.rejects(query, { message: 'interrupted' });
  });
});

describe('the lock of a label', () => {
  it('is held by one at a time, and names the holder', async () => {
    await using first = await open(`${cluster.url('shop')}?application_name=nightly`);
    await using second = await open(cluster.url('shop'));
    const lock = await acquireLabelLock(first, 'shop');
    await assert.rejects(acquireLabelLock(second, 'shop'), {
      kind: 'conflict',
      message: /^another backup of "shop" is running \(server process \d+, "nightly", since .*\)$/,
    });
    await using other = await acquireLabelLock(second, 'another label');
    assert.ok(other);
    await lock[Symbol.asyncDispose]();
    await using again = await acquireLabelLock(second, 'shop');
    assert.ok(again);
  });

  it('is lost with its session, which shows', async () => {
    await using session = await open(cluster.url('shop'));
    await using lock = await acquireLabelLock(session, 'shop');
    const [row] = await session.query<{ readonly pid: number }>('SELECT pg_backend_pid() AS pid');
    await cluster.query('postgres', 'SELECT pg_terminate_backend($1)', [row?.pid]);
    const error = await lock.lost;
    assert.ok(error instanceof BackupError);
    assert.match(error.message, /^lost the connection to postgresql:.*terminating connection/);
    await using second = await open(cluster.url('shop'));
    await using again = await acquireLabelLock(second, 'shop');
    assert.ok(again);
  });

  it('is not lost when we end the session', async () => {
    const session = await open(cluster.url('shop'));
    let isLost = false;
    void session.lost.then(() => (isLost = true));
    await session[Symbol.asyncDispose]();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(isLost, false);
  });
});
