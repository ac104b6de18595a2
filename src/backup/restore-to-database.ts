import { BackupError } from '../core/backup-error.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import { productName } from '../core/version.ts';
import { Meter } from '../pipeline/meter.ts';
import { runPipeline } from '../pipeline/run-pipeline.ts';
import { cleanScript } from '../postgres/clean-script.ts';
import { describeConnection, type Connection } from '../postgres/connection.ts';
import { needsScript, restoreArchiveAsScript } from '../postgres/archive-script.ts';
import { restoreArchive } from '../postgres/pg-restore.ts';
import { restoreScript } from '../postgres/psql.ts';
import { planPgRestore, type RestoreRequest } from '../postgres/restore-plan.ts';
import { readServerInfo, type ServerInfo } from '../postgres/server-info.ts';
import { openSession } from '../postgres/session.ts';
import { createSchemas } from '../postgres/target-database.ts';
import { lockTarget } from '../postgres/target-lock.ts';
import type { Archive } from './archive.ts';
import { abortOn } from './create-run.ts';
import { defaultJobs } from './default-jobs.ts';
import { demandEmpty } from './demand-empty.ts';
import { findPgRestore, findPsql, type DatabaseTarget, type RestoreRun } from './restore-run.ts';
import { chooseSettings, readGivenSettings, trySettings, type GivenSettings } from './session-settings.ts';
import type { StoredStreams } from './stored-streams.ts';
import { inTarget } from './target-database.ts';
import { warnAll, type UseCaseContext } from './use-case-context.ts';

export interface DatabaseRestoreReport {
  /** Without secrets. */
  readonly target: string;
  /** Bytes of dump given to the client tools. */
  readonly plainBytes: number;
  readonly jobs: number;
  /** What the database is called now whose place the restored one took; `null`: there was none. */
  readonly formerName: string | null;
}

/**
 * Restores into a database, whole or not at all. One job: in one transaction for archives, and for scripts too unless they
 * commit on their own. Several jobs (`restoreInParallel`) cannot be one transaction: a database that is made for the
 * restore gets its name only when it is complete, and one that was there and empty is emptied again by a failure.
 * Refuses a database that is not empty, unless `clean`, and one into which another restore is running. Errors: `conflict`
 * (those, or there already), `usage`
 * (several jobs into what must stay as it was), `postgres`, `integrity`, those of the archive.
 */
export async function restoreToDatabase(
  archive: Archive,
  target: DatabaseTarget,
  context: UseCaseContext,
): Promise<DatabaseRestoreReport> {
  warnAll(context, target.connection.warnings);
  const jobs = chooseJobs(archive, target, context);
  if (target.isFast === true) demandFresh(target, jobs);
  const plan = { connection: target.connection, mode: target.mode, source: archive.source, isStaged: jobs > 1 };
  const { result, formerName } = await inTarget(plan, context, async (connection) => {
    return await restoreInto(archive, { ...target, connection, jobs }, context);
  });
  return { target: describeConnection(target.connection), plainBytes: result, jobs, formerName };
}

/** Other sessions would see the rows before their transaction is committed, and a crash could leave some of them. */
function demandFresh({ mode }: DatabaseTarget, jobs: number): void {
  if (mode === 'existing') {
    throw new BackupError('usage', '--fast is for a database that the restore makes', {
      hint: 'Say --create-db or --swap as well.',
    });
  }
  if (jobs > 1) return;
  throw new BackupError('usage', '--fast is for several jobs', { hint: 'Say --jobs as well.' });
}

/** Several jobs by default only where a failure, even our own death, leaves nothing under the name of the target. */
function chooseJobs(archive: Archive, target: DatabaseTarget, { cores }: UseCaseContext): number {
  const reason = whyOneJob(archive, target);
  if (target.jobs === undefined) {
    return reason === null && target.mode !== 'existing' ? defaultJobs(archive.streams?.plainBytes ?? 0, cores) : 1;
  }
  if (target.jobs === 1 || reason === null) return target.jobs;
  throw new BackupError('usage', `a restore with several jobs is not possible ${reason.problem}`, {
    hint: reason.hint,
  });
}

function whyOneJob(archive: Archive, target: DatabaseTarget): { problem: string; hint: string } | null {
  if (target.clean) {
    return {
      problem: 'with --clean, for it would not be one transaction',
      hint: 'Restore beside the database and take its place with --swap.',
    };
  }
  if (planPgRestore(target.options).isSelective) return { problem: 'for a part of a dump', hint: 'Leave --jobs out.' };
  if (archive.streams !== null || archive.isCustom) return null;
  return { problem: 'from a plain dump, which is one script', hint: 'Leave --jobs out.' };
}

async function restoreInto(
  archive: Archive,
  target: DatabaseTarget & { readonly jobs: number },
  context: UseCaseContext,
): Promise<number> {
  const { server, given, ...found } = await findTarget(target, context);
  await using lock = await lockTarget(found.connection);
  const signal = AbortSignal.any([context.signal, abortOn(lock.lost)]);
  if (!target.clean) await demandEmptyTarget(found.connection, signal);
  const settings = chooseSettings(given, {
    jobs: target.jobs,
    isStaged: target.jobs > 1 && target.mode !== 'existing',
  });
  const connection = await trySettings(found.connection, settings, signal);
  const meter = new Meter();
  target.onStart?.(meter);
  const run = { archive, target: { ...target, connection }, server, lock, context: { ...context, signal }, meter };
  if (target.jobs > 1) {
    const { restoreInParallel } = await import('./restore-in-parallel.ts');
    await restoreInParallel(run, target.jobs);
  } else await restoreInOneTransaction(run);
  return meter.bytes;
}

async function restoreInOneTransaction(run: RestoreRun): Promise<void> {
  const { archive, target, context, meter } = run;
  const stall = { meter, timeoutMs: target.stallTimeoutMs, what: `"${archive.name}"` };
  const { warnings } = await runPipeline({ signal: context.signal, stall }, async (signal) => {
    const inner = { ...run, context: { ...context, signal } };
    if (archive.streams !== null) return await feedStreams(archive.streams, inner);
    const { format, body } = await archive.open(signal);
    // A script may commit on its way, which cannot be undone.
    if (format === 'plain') await archive.checkStored(signal);
    return await feeders[format](meter.count(body), inner);
  });
  warnAll(context, warnings);
}

/** All streams one after another, as one script without a COMMIT of its own: ours comes when all of it was checked. */
async function feedStreams(streams: StoredStreams, { target, server, context, meter }: RestoreRun): Promise<Fed> {
  const { signal } = context;
  const request = { options: target.options, serverMajor: server.major, isTransaction: true };
  const tool = await findPsql(target, server, context);
  const restore = { tool, connection: target.connection, signal, ...scriptSettings(target, server) };
  return await restoreScript({ ...restore, allowForeignScript: true }, meter.count(streams.script(signal, request)));
}

/** What both client tools report. */
interface Fed {
  readonly warnings: readonly string[];
}

const feeders = { custom: feedPgRestore, plain: feedPsql } as const;

async function feedPgRestore(body: ByteStream, run: RestoreRun): Promise<Fed> {
  const { target, server, context } = run;
  const { args, isSelective } = planPgRestore(target.options);
  const tool = await findPgRestore(run);
  const restore = { tool, args, connection: target.connection, signal: context.signal };
  // A part of an archive is complete before its end was read and checked: only the script waits for that.
  if (!isSelective && !target.clean && !needsScript(tool, server.major)) return await restoreArchive(restore, body);
  const psql = await findPsql(target, server, context);
  return await restoreArchiveAsScript({ ...restore, ...scriptSettings(target, server), psql }, body);
}

async function feedPsql(body: ByteStream, { archive, target, server, context }: RestoreRun): Promise<Fed> {
  const unsupported = unsupportedForScripts(target.options);
  if (unsupported !== null) {
    throw new BackupError('usage', `${unsupported} needs a custom-format dump, and "${archive.name}" is a plain one`);
  }
  const tool = await findPsql(target, server, context);
  const { connection } = target;
  const settings = scriptSettings(target, server);
  const { warnings, committedEarly } = await restoreScript(
    { tool, connection, signal: context.signal, ...settings },
    body,
  );
  const remark = 'the script committed on its way, so the restore was not one transaction; it is complete';
  return { warnings: committedEarly ? [...warnings, remark] : warnings };
}

function scriptSettings(target: DatabaseTarget, { major }: ServerInfo): { serverMajor: number; prologue: string } {
  const clean = target.clean ? cleanScript(major) : '';
  // pg_restore takes what is in a chosen schema, but not the schema.
  return { serverMajor: major, prologue: clean + createSchemas(target.options.schemas ?? []) };
}

/** psql runs a script as it is: nothing can be left out. */
function unsupportedForScripts(options: RestoreRequest): string | null {
  if (planPgRestore(options).isSelective) return 'restoring one schema or table';
  if (options.noOwner === true) return '--no-owner';
  if (options.noPrivileges === true) return '--no-privileges';
  return null;
}

/** Also gives the connection to the very server that was looked at. */
async function findTarget(
  target: DatabaseTarget,
  context: UseCaseContext,
): Promise<{ server: ServerInfo; given: GivenSettings; connection: Connection }> {
  await using session = await openSession(target.connection, { applicationName: productName, signal: context.signal });
  const server = await readServerInfo(session);
  return { server, given: await readGivenSettings(session), connection: session.connection };
}

async function demandEmptyTarget(connection: Connection, signal: AbortSignal): Promise<void> {
  await using session = await openSession(connection, { applicationName: productName, signal });
  await demandEmpty(session, 'nothing');
}
