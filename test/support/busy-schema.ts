import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DatabaseError, type Client } from 'pg';
import { requirePostgres } from './postgres-binaries.ts';
import type { Cluster } from './postgres-cluster.ts';
import { waitUntil } from './wait-until.ts';

/** Where all of it goes on. */
export const busySchema = 'busy';

/** What goes on in a database while it is backed up, until it is told to stop. */
export interface BusySchema {
  /** Ends the sessions and gives the number of rounds of DDL; fails when something in them has failed. */
  stop(): Promise<number>;
}

/** Bounds, should nobody stop it. */
const longestSeconds = 60;
const mostRounds = 2000;

const setUp = `
  CREATE SCHEMA ${busySchema};
  CREATE TABLE ${busySchema}.events (n int NOT NULL, what text) PARTITION BY RANGE (n);
`;

/**
 * Starts pgbench's transfers and a session of DDL in the schema `busy`: tables that come, change and get indexes, tables
 * that come and go within a transaction, new partitions. It goes on when this returns. What it never does is to drop or
 * rewrite a table that others can see: one that goes between pg_dump's snapshot and its lock makes pg_dump fail.
 */
export async function startBusySchema(cluster: Cluster, database: string): Promise<BusySchema> {
  await cluster.runSql(database, setUp);
  const pgbench = join((await requirePostgres()).folder, 'pgbench');
  const env = { PATH: process.env['PATH'], ...cluster.env(database), PGOPTIONS: `-c search_path=${busySchema}` };
  const start = (args: readonly string[]) => spawn(pgbench, args, { env, stdio: 'ignore' });
  const [filled] = await once(start(['--initialize', '--quiet', '--scale=2']), 'exit');
  if (filled !== 0) throw new Error(`pgbench --initialize ended with ${filled}`);

  const transfers = start(['--no-vacuum', '--client=2', '--rate=300', `--time=${longestSeconds}`]);
  const transfersEnded = once(transfers, 'exit');
  const stopping = new AbortController();
  const changes = changeSchema(await cluster.connect(database), stopping.signal);
  changes.catch(() => {}); // reported by stop
  await waitUntil(async () => (await readBalances(cluster, database)).transfers > 0, 'pgbench moves money');
  return {
    stop: async () => {
      const wasRunning = transfers.exitCode === null;
      transfers.kill('SIGINT');
      stopping.abort();
      await transfersEnded;
      if (!wasRunning) throw new Error(`pgbench ended by itself, with ${transfers.exitCode}`);
      return await changes;
    },
  };
}

async function changeSchema(client: Client, signal: AbortSignal): Promise<number> {
  // Whoever waits for a table makes all others wait behind it: so nobody waits for long.
  try {
    await client.query(`SET search_path = ${busySchema}; SET lock_timeout = '100ms'`);
    let round = 0;
    while (!signal.aborted && round < mostRounds) {
      round += 1;
      for (const statements of changesOfRound(round)) await tryQuery(client, statements);
      await sleep(10);
    }
    return round;
  } finally {
    await client.end();
  }
}

/** Each text is a transaction. */
function changesOfRound(round: number): string[] {
  return [
    `CREATE TABLE passing (id int); INSERT INTO passing VALUES (1); ALTER TABLE passing ADD more text DEFAULT random();
     CREATE INDEX ON passing (more); DROP TABLE passing`,
    `CREATE TABLE kept_${round} AS SELECT n AS id FROM generate_series(1, 100) AS n`,
    `CREATE INDEX ON kept_${round} (id); ALTER TABLE kept_${round} ADD CHECK (id > 0), ADD more int DEFAULT 7`,
    `CREATE TABLE events_${round} (LIKE events)`,
    `ALTER TABLE events ATTACH PARTITION events_${round} FOR VALUES FROM (${round}) TO (${round + 1})`,
    `INSERT INTO events VALUES (${round}, 'now')`,
    `CREATE INDEX IF NOT EXISTS events_what ON events (what)`,
  ];
}

const lockNotAvailable = '55P03';

async function tryQuery(client: Client, statements: string): Promise<void> {
  try {
    await client.query(statements);
  } catch (error) {
    if (!(error instanceof DatabaseError && isBusy(error))) throw error;
  }
}

/** The partition that did not get its lock is missing in the next step. */
function isBusy({ code, message }: DatabaseError): boolean {
  return code === lockNotAvailable || /no partition of relation/.test(message);
}

/** The sums that pgbench keeps equal, and how many transfers made them. */
export interface Balances {
  readonly sums: readonly number[];
  readonly transfers: number;
}

export async function readBalances(cluster: Cluster, database: string): Promise<Balances> {
  const sum = (column: string, table: string): string =>
    `(SELECT coalesce(sum(${column}), 0) FROM ${busySchema}.pgbench_${table})::float8`;
  const sums = [
    sum('abalance', 'accounts'),
    sum('tbalance', 'tellers'),
    sum('bbalance', 'branches'),
    sum('delta', 'history'),
  ];
  const [row] = await cluster.query<{ sums: number[]; transfers: number }>(
    database,
    `SELECT ARRAY[${sums.join(', ')}] AS sums, (SELECT count(*)::int FROM ${busySchema}.pgbench_history) AS transfers`,
  );
  if (row === undefined) throw new Error('no balances');
  return row;
}

/** Rows of every table that a round of DDL has made with 100 of them: whoever sees the table sees them all. */
export async function countKeptRows(cluster: Cluster, database: string): Promise<number[]> {
  const tables = await cluster.query<{ name: string }>(
    database,
    `SELECT tablename AS name FROM pg_tables WHERE schemaname = '${busySchema}' AND tablename LIKE 'kept%'`,
  );
  const counts = tables.map(async ({ name }) => {
    const [row] = await cluster.query<{ count: number }>(
      database,
      `SELECT count(*)::int AS count FROM ${busySchema}.${name}`,
    );
    return row?.count ?? 0;
  });
  return await Promise.all(counts);
}
