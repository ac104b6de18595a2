import { productName } from '../core/version.ts';
import { withServerOptions, type Connection } from '../postgres/connection.ts';
import { openSession, type Row, type Session } from '../postgres/session.ts';

/** What the server gives a session that restores. */
export interface GivenSettings extends Row {
  /** `maintenance_work_mem` */
  readonly memoryMegabytes: number;
  /** `max_parallel_maintenance_workers` */
  readonly workers: number;
  /** How many there can be of all kinds at a time. */
  readonly maxWorkers: number;
  /** `array_nulls`: whether NULL within an array is one, as all tools write it, or a text. */
  readonly arrayNulls: boolean;
}

const givenSql = `
  SELECT pg_size_bytes(current_setting('maintenance_work_mem'))::float8 / 1048576 AS "memoryMegabytes",
    current_setting('max_parallel_maintenance_workers')::int AS workers,
    least(current_setting('max_parallel_workers')::int, current_setting('max_worker_processes')::int) AS "maxWorkers",
    current_setting('array_nulls')::bool AS "arrayNulls"`;

export async function readGivenSettings(session: Session): Promise<GivenSettings> {
  const [row] = await session.query<GivenSettings>(givenSql);
  if (row === undefined) throw new TypeError('a query without FROM has one row');
  return row;
}

/** For each session: an index takes it once, however many workers build it. */
const megabytesEach = 256;
/** For all sessions together. */
const megabytesInAll = 1024;
/** With the session itself, as many processes as there are sessions where nobody said their number. */
const wantedWorkers = 3;

export interface SessionsPlan {
  /** How many work side by side. */
  readonly jobs: number;
  /** The database has not got its name yet. */
  readonly isStaged: boolean;
}

/**
 * Settings (`name=value`) for sessions that restore; never less than the server gives. Several sessions use its cores
 * without workers. Where it gives no worker, somebody did not want any. Commits of a database without its name yet need not
 * wait for the disk: the renaming does, and writes everything before it.
 */
export function chooseSettings(given: GivenSettings, { jobs, isStaged }: SessionsPlan): string[] {
  const megabytes = Math.min(megabytesEach, Math.floor(megabytesInAll / jobs));
  const workers = Math.min(wantedWorkers, given.maxWorkers);
  const isMoreWorkers = jobs === 1 && given.workers > 0 && given.workers < workers;
  return [
    ...(given.memoryMegabytes < megabytes ? [`maintenance_work_mem=${megabytes}MB`] : []),
    ...(isMoreWorkers ? [`max_parallel_maintenance_workers=${workers}`] : []),
    ...(isStaged ? ['synchronous_commit=off'] : []),
    ...(given.arrayNulls ? [] : ['array_nulls=on']),
  ];
}

/** The connection with these settings, or as it is where sessions cannot begin with any: poolers refuse them. */
export async function trySettings(
  connection: Connection,
  settings: readonly string[],
  signal: AbortSignal,
): Promise<Connection> {
  const changed = withServerOptions(connection, settings);
  if (changed === connection) return connection;
  try {
    await using _session = await openSession(changed, { applicationName: productName, signal });
    return changed;
  } catch {
    signal.throwIfAborted();
    return connection;
  }
}
