import { setTimeout } from 'node:timers/promises';
import { BackupError, describeError } from '../core/backup-error.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import { productName } from '../core/version.ts';
import { fork } from '../pipeline/fan-out.ts';
import { runPipeline } from '../pipeline/run-pipeline.ts';
import { needsScript, restoreArchiveAsScript } from '../postgres/archive-script.ts';
import { cleanScript } from '../postgres/clean-script.ts';
import { listArchive, restoreArchive } from '../postgres/pg-restore.ts';
import { planPgRestore } from '../postgres/restore-plan.ts';
import { openSession, type Row, type Session } from '../postgres/session.ts';
import { findPgRestore, findPsql, unfinishedMark, type RestoreRun } from './restore-run.ts';
import { restoreRest, type ParallelRun } from './restore-steps.ts';
import { restoreStreamRows } from './restore-stream-rows.ts';
import { warnAll } from './use-case-context.ts';

/**
 * Restores with several sessions: first the definitions, then the rows - of several streams side by side, the largest
 * first -, then indexes, constraints and triggers side by side. The first failure ends all of them. That is no
 * transaction: a database that was there before, and empty, is emptied again by a failure, and bears a mark (schema
 * `librelog_backup_restore_unfinished`) as long as it is not complete; one with extensions is refused (`conflict`).
 */
export async function restoreInParallel(run: RestoreRun, jobs: number): Promise<void> {
  const { connection, mode } = run.target;
  const parallel = { ...run, jobs };
  if (mode !== 'existing') return await restorePhases(parallel);
  await using session = await openSession(connection, { applicationName: productName, signal: run.context.signal });
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

async function restorePhases(run: ParallelRun): Promise<void> {
  const { archive, target, context } = run;
  const rest =
    archive.streams === null
      ? { archive: await restoreArchiveRows(run) }
      : await restoreStreamRows(archive.streams, run);
  target.onPhase?.('indexes, constraints and triggers');
  await restoreRest(rest, run, context.signal);
  context.signal.throwIfAborted();
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

/** A server does not notice that a client is gone as long as it is at work for it. */
const endSessionsSql = `
  SELECT pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE datname = current_database() AND usename = current_user AND backend_start >= $1 AND application_name = ANY ($2)
    AND pid <> pg_backend_pid()`;

/** How long sessions may take to undo what they did. */
const rollbackMs = 60_000;

/** Until they are gone, the disk may still be full of what they wrote. */
async function endSessions(session: Session, startedAt: string, names: readonly string[]): Promise<void> {
  const deadline = performance.now() + rollbackMs;
  while ((await session.query(endSessionsSql, [startedAt, names])).length > 0 && performance.now() < deadline) {
    await setTimeout(100);
  }
}

/** A disk that was full a moment ago may not even let a session begin. */
const emptyingAttempts = 3;
const emptyingPauseMs = 1_000;

async function emptyAgain(run: RestoreRun, startedAt: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await endAndDrop(run, startedAt);
    } catch (error) {
      if (attempt === emptyingAttempts) {
        const problem = describeError(error);
        run.context.log.warn({ problem }, 'cannot empty the database again: it holds nothing that can be used');
        return;
      }
      await setTimeout(emptyingPauseMs);
    }
  }
}

async function endAndDrop({ target, server }: RestoreRun, startedAt: string): Promise<void> {
  const { application_name: name } = target.connection.parameters;
  await using session = await openSession(target.connection, { applicationName: productName });
  await endSessions(session, startedAt, name === undefined ? ['pg_restore', 'psql', productName] : [name]);
  await session.query(cleanScript(server.major));
}
