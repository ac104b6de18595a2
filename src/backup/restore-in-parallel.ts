import { BackupError, describeError } from '../core/backup-error.ts';
import { streamOf, type ByteStream } from '../core/byte-stream.ts';
import { productName } from '../core/version.ts';
import { fork } from '../pipeline/fan-out.ts';
import { runPipeline } from '../pipeline/run-pipeline.ts';
import { Meter } from '../pipeline/meter.ts';
import { runSideBySide } from '../pipeline/run-side-by-side.ts';
import { archiveToScript, needsScript, restoreArchiveAsScript } from '../postgres/archive-script.ts';
import { cleanScript } from '../postgres/clean-script.ts';
import type { ClientTool } from '../postgres/client-tools.ts';
import { withServerOptions, type Connection } from '../postgres/connection.ts';
import { listArchive, restoreArchive, restorePostData } from '../postgres/pg-restore.ts';
import { restoreScript } from '../postgres/psql.ts';
import { planPgRestore } from '../postgres/restore-plan.ts';
import { withoutTransaction } from '../postgres/script-stages.ts';
import { openSession, type Row, type Session } from '../postgres/session.ts';
import { findPgRestore, findPsql, unfinishedMark, type RestoreRun } from './restore-run.ts';
import type { StoredStreams } from './stored-streams.ts';
import { warnAll } from './use-case-context.ts';

/** What each session may use to build an index, where the server would give it less. */
const maintenanceBytes = 256 * 1024 * 1024;

interface ParallelRun extends RestoreRun {
  readonly jobs: number;
}

/**
 * Restores with several sessions: first the definitions, then the rows - of several streams side by side, the largest
 * first -, then indexes, constraints and triggers side by side. The first failure ends all of them. That is no
 * transaction: a database that was there before, and empty, is emptied again by a failure, and bears a mark (schema
 * `librelog_backup_restore_unfinished`) as long as it is not complete; one with extensions is refused (`conflict`).
 */
export async function restoreInParallel(run: RestoreRun, jobs: number): Promise<void> {
  const { connection, mode } = run.target;
  await using session = await openSession(connection, { applicationName: productName, signal: run.context.signal });
  const target = { ...run.target, connection: await tune(session, mode !== 'existing') };
  const parallel = { ...run, target, jobs };
  if (mode !== 'existing') return await restorePhases(parallel);
  await demandNothingToKeep(session);
  const startedAt = await readClock(session);
  await session.query(`CREATE SCHEMA ${unfinishedMark}`);
  try {
    await restorePhases(parallel);
    run.context.signal.throwIfAborted();
    await session.query(`DROP SCHEMA ${unfinishedMark}`);
  } catch (error) {
    await emptyAgain(run, startedAt);
    throw error;
  }
}

/** Extensions do not keep a database from being empty, but would go with what a failure takes out of it. */
async function demandNothingToKeep(session: Session): Promise<void> {
  const rows = await session.query('SELECT FROM pg_extension WHERE oid >= 16384');
  if (rows.length === 0) return;
  const { database } = session.connection;
  throw new BackupError('conflict', `database "${database}" has extensions, which a failed restore would drop`, {
    hint: 'Restore with --jobs 1, or into a new database with --create-db.',
  });
}

interface ClockRow extends Row {
  readonly now: string;
}

/** The server's time. */
async function readClock(session: Session): Promise<string> {
  const [row] = await session.query<ClockRow>('SELECT clock_timestamp()::text AS now');
  return row?.now ?? 'infinity';
}

interface MemoryRow extends Row {
  readonly bytes: number;
}

/**
 * The connection, with settings for the sessions that restore. Commits of a database without its name yet need not wait
 * for the disk: the renaming does, and writes everything before it.
 */
async function tune(session: Session, isStaged: boolean): Promise<Connection> {
  const [row] = await session.query<MemoryRow>(
    `SELECT pg_size_bytes(current_setting('maintenance_work_mem'))::float8 AS bytes`,
  );
  const memory = row !== undefined && row.bytes < maintenanceBytes ? ['maintenance_work_mem=256MB'] : [];
  return withServerOptions(session.connection, [...memory, ...(isStaged ? ['synchronous_commit=off'] : [])]);
}

async function restorePhases(run: ParallelRun): Promise<void> {
  const { archive, target, context } = run;
  const archiveHead =
    archive.streams === null ? await restoreArchiveRows(run) : await restoreStreamRows(archive.streams, run);
  target.onPhase?.('indexes, constraints and triggers');
  await restoreRest(archiveHead, run);
  context.signal.throwIfAborted();
}

/** Definitions and rows of several streams. Returns the archive that has the rest. */
async function restoreStreamRows(streams: StoredStreams, run: ParallelRun): Promise<Uint8Array> {
  const { target, server, context, jobs } = run;
  // Needed by some restores only, but a backup whose contents are damaged must not pass.
  await streams.contents(context.signal);
  const isFrozen = target.isFast === true;
  const request = { options: target.options, serverMajor: server.major, isTransaction: true, isFrozen };
  const psql = await findPsql(target, server, context);
  target.onPhase?.('definitions');
  await runOne({ run, psql, what: 'definitions' }, context.signal, (signal) =>
    streams.definitions('pre-data', request, signal),
  );
  target.onPhase?.('rows');
  await runSideBySide(
    streams.rowObjects.map((object) => async (signal: AbortSignal) => {
      await runOne({ run, psql, what: object.name }, signal, (inner) => streams.rows(object, request, inner));
    }),
    { jobs, signal: context.signal },
  );
  return await streams.schema(context.signal);
}

interface Script {
  readonly run: ParallelRun;
  readonly psql: ClientTool;
  /** Where the script comes from, for messages. */
  readonly what: string;
}

/** Runs one script in one transaction of its own. */
async function runOne(
  { run, psql, what }: Script,
  signal: AbortSignal,
  open: (signal: AbortSignal) => ByteStream,
): Promise<void> {
  const { target, server, context } = run;
  const meter = new Meter();
  const stall = { meter, timeoutMs: target.stallTimeoutMs, what: `"${what}"` };
  const restore = { tool: psql, connection: target.connection, serverMajor: server.major, allowForeignScript: true };
  const { warnings } = await runPipeline({ signal, stall }, async (signal) => {
    return await restoreScript({ ...restore, signal }, run.meter.count(meter.count(open(signal))));
  });
  warnAll(context, warnings);
}

/** Definitions and rows of one stream. Returns its beginning, up to the end of the table of contents at least. */
async function restoreArchiveRows(run: ParallelRun): Promise<Uint8Array> {
  const { archive, target, server, context, meter } = run;
  target.onPhase?.('definitions and rows');
  const tool = await findPgRestore(run);
  const { args } = planPgRestore(target.options);
  const stall = { meter, timeoutMs: target.stallTimeoutMs, what: `"${archive.name}"` };
  return await runPipeline({ signal: context.signal, stall }, async (signal) => {
    const { body } = await archive.open(signal);
    const [copy, rows] = fork(meter.count(body));
    const reading = readHead(copy, async (head) => void (await listArchive({ tool, signal }, head)));
    reading.catch(() => {});
    const restore = {
      tool,
      args: [...args, '--section=pre-data', '--section=data'],
      connection: target.connection,
      signal,
    };
    const psql = needsScript(tool, server.major) ? await findPsql(target, server, context) : null;
    const { warnings } =
      psql === null
        ? await restoreArchive(restore, rows)
        : await restoreArchiveAsScript({ ...restore, psql, serverMajor: server.major }, rows);
    warnAll(context, warnings);
    return await reading;
  });
}

/** What `use` read of the stream before it had enough. */
async function readHead(
  source: ByteStream & AsyncDisposable,
  use: (head: ByteStream) => Promise<void>,
): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  async function* keep(): ByteStream {
    for await (const chunk of source) {
      chunks.push(Buffer.from(chunk));
      yield chunk;
    }
  }
  try {
    await use(keep());
    return Buffer.concat(chunks);
  } finally {
    await source[Symbol.asyncDispose]();
  }
}

async function restoreRest(archiveHead: Uint8Array, run: ParallelRun): Promise<void> {
  const { archive, target, server, context, jobs } = run;
  const { signal } = context;
  const tool = await findPgRestore(run);
  const { connection } = target;
  const { args } = planPgRestore(target.options);
  if (!needsScript(tool, server.major)) {
    const { warnings } = await restorePostData({ tool, args, connection, jobs, signal }, archiveHead);
    warnAll(context, warnings);
    return;
  }
  const psql = await findPsql(target, server, context);
  await runOne({ run, psql, what: archive.name }, signal, (signal) => {
    const conversion = { tool, args: [...args, '--section=post-data', '--single-transaction'], signal };
    return withoutTransaction(archiveToScript({ ...conversion, serverMajor: server.major }, streamOf(archiveHead), []));
  });
}

/** A server does not notice that a client is gone as long as it is at work for it. */
const endSessionsSql = `
  SELECT pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE datname = current_database() AND usename = current_user AND backend_start >= $1 AND application_name = ANY ($2)
    AND pid <> pg_backend_pid()`;

async function emptyAgain({ target, server, context }: RestoreRun, startedAt: string): Promise<void> {
  const { application_name: name } = target.connection.parameters;
  try {
    await using session = await openSession(target.connection, { applicationName: productName });
    await session.query(endSessionsSql, [startedAt, name === undefined ? ['pg_restore', 'psql'] : [name]]);
    await session.query(cleanScript(server.major));
  } catch (error) {
    const problem = describeError(error);
    context.log.warn({ problem }, `cannot empty the database again: it holds nothing that can be used`);
  }
}
