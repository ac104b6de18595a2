import assert from 'node:assert/strict';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { resolveConnection } from '../../src/postgres/connection.ts';
import { lockTarget } from '../../src/postgres/target-lock.ts';
import { startCluster, type Cluster } from '../support/postgres-cluster.ts';

let cluster: Cluster;
before(async () => {
  cluster = await startCluster({ auth: 'trust' });
});
after(async () => await cluster[Symbol.asyncDispose]());

const connectionTo = (port: number) => resolveConnection(`postgresql://postgres@127.0.0.1:${port}/postgres`, {});

interface Firewall extends Disposable {
  readonly port: number;
  /** Lets nothing through any more on the connections that there are, and closes none of them. */
  forget(): void;
}

async function startFirewall(): Promise<Firewall> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(cluster.port, '127.0.0.1');
    client.pipe(upstream).pipe(client);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
    }
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    forget: () => {
      for (const socket of sockets) socket.unpipe().pause();
    },
    [Symbol.dispose]: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

const conflict = {
  kind: 'conflict',
  message: /^another restore into database "postgres" is running \(server process \d+, "librelog-backup", since .*\)$/,
};

describe('the lock of a restore', () => {
  it('is held once, until it is released', async () => {
    const lock = await lockTarget(connectionTo(cluster.port));
    await assert.rejects(lockTarget(connectionTo(cluster.port)), conflict);
    await lock[Symbol.asyncDispose]();
    await using again = await lockTarget(connectionTo(cluster.port));
    assert.equal(await again.confirm(), await again.confirm());
  });

  it('keeps nothing from being vacuumed', async () => {
    await using lock = await lockTarget(connectionTo(cluster.port));
    const sql = 'SELECT backend_xmin AS xmin, backend_xid AS xid FROM pg_stat_activity WHERE pid = $1';
    const [row] = await cluster.query('postgres', sql, [await lock.confirm()]);
    assert.deepEqual(row, { xmin: null, xid: null });
  });

  it('is taken again from a session that a firewall forgot, of which the server knows nothing', async () => {
    using firewall = await startFirewall();
    await using lock = await lockTarget(connectionTo(firewall.port));
    const before = await lock.confirm();
    firewall.forget();
    const now = await lock.confirm();
    assert.notEqual(now, before);
    await assert.rejects(lockTarget(connectionTo(cluster.port)), conflict);
  });
});
