import type { Client } from 'pg';
import type { Cluster } from './postgres-cluster.ts';
import { waitUntil } from './wait-until.ts';

/** Somebody else who uses the database meanwhile. Dispose ends the session, whatever it is doing. */
export interface OtherSession extends AsyncDisposable {
  readonly client: Client;
  run(sql: string): Promise<void>;
  /** Begins what has to wait for a lock, and comes back when it does; its outcome is that of the promise inside. */
  startWaiting(sql: string): Promise<{ readonly outcome: Promise<unknown> }>;
}

export async function openOtherSession(cluster: Cluster, database: string): Promise<OtherSession> {
  const client = await cluster.connect(database);
  client.on('error', () => {}); // it is ended from outside
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const pid = rows[0]?.pid;
  const isWaiting = async () => {
    const locks = await cluster.query('postgres', 'SELECT FROM pg_locks WHERE NOT granted AND pid = $1', [pid]);
    return locks.length > 0;
  };
  return {
    client,
    run: async (sql) => void (await client.query(sql)),
    startWaiting: async (sql) => {
      const outcome = client.query(sql);
      outcome.catch(() => {}); // looked at by the test, or not at all
      await waitUntil(isWaiting, `"${sql}" waits for a lock`);
      return { outcome };
    },
    [Symbol.asyncDispose]: async () => {
      await cluster.query('postgres', 'SELECT pg_terminate_backend($1)', [pid]);
      await client.end().catch(() => {});
    },
  };
}
