import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, describe, it } from 'node:test';
import { resolveConnection } from '../../src/postgres/connection.ts';
import { openSession, type Session } from '../../src/postgres/session.ts';
import { startCluster, type Cluster } from '../support/postgres-cluster.ts';

const patienceMs = 3_000;

/** Between us and the server: forgets a connection on which nothing goes to the server for `patienceMs`. */
async function startForgetful(targetPort: number): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer((client) => {
    const upstream = connect(targetPort, '127.0.0.1');
    client.setTimeout(patienceMs, () => client.destroy());
    client.on('close', () => upstream.destroy()).on('error', () => {});
    upstream.on('close', () => client.destroy()).on('error', () => {});
    upstream.on('data', (bytes) => client.write(bytes));
    client.on('data', (bytes) => upstream.write(bytes));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  return { port, [Symbol.asyncDispose]: async () => void (await new Promise((resolve) => server.close(resolve))) };
}

let cluster: Cluster;
before(async () => {
  cluster = await startCluster({ auth: 'trust' });
});
after(async () => await cluster[Symbol.asyncDispose]());

async function open(port: number, maxSilenceMs?: number): Promise<Session> {
  const connection = resolveConnection(`postgresql://postgres@127.0.0.1:${port}/postgres`, {});
  return await openSession(connection, {
    applicationName: 'test',
    ...(maxSilenceMs !== undefined && { maxSilenceMs }),
  });
}

describe('a session that has nothing to say', () => {
  it('is forgotten on its way when it says nothing', async () => {
    await using way = await startForgetful(cluster.port);
    await using session = await open(way.port);
    const { kind } = await session.lost;
    assert.equal(kind, 'postgres');
  });

  it('gives signs of life, also within a transaction, and stays', async () => {
    await using way = await startForgetful(cluster.port);
    await using session = await open(way.port, 50);
    await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    const [{ xmin } = {}] = await session.query('SELECT pg_export_snapshot() AS xmin');
    await sleep(2 * patienceMs);
    assert.deepEqual(await session.query('SELECT 1 AS one'), [{ one: 1 }]);
    await using other = await open(cluster.port);
    await other.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    await other.query(`SET TRANSACTION SNAPSHOT '${String(xmin)}'`);
  });

  it('leaves a COPY alone', async () => {
    await using session = await open(cluster.port, 5);
    await session.query('CREATE TEMPORARY TABLE rows_in (text text)');
    const rows = await session.copyIn('COPY rows_in FROM STDIN');
    for (let row = 0; row < 20; row += 1) {
      await rows.write(Buffer.from(`${row}\n`));
      await sleep(10);
    }
    await rows.end();
    assert.deepEqual(await session.query('SELECT count(*)::int FROM rows_in'), [{ count: 20 }]);
  });

  it('answers what is asked while it gives a sign', async () => {
    await using session = await open(cluster.port, 1);
    for (let number = 0; number < 200; number += 1) {
      assert.deepEqual(await session.query('SELECT $1::int AS number', [number]), [{ number }]);
      if (number % 20 === 0) await sleep(2);
    }
  });
});
