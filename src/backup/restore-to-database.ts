import { BackupError, describeError } from '../core/backup-error.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import { productName } from '../core/version.ts';
import { Meter } from '../pipeline/meter.ts';
import { runPipeline } from '../pipeline/run-pipeline.ts';
import { cleanScript } from '../postgres/clean-script.ts';
import { findClientTool, type ClientTool } from '../postgres/client-tools.ts';
import { describeConnection, type Connection } from '../postgres/connection.ts';
import { needsScript, restoreArchiveAsScript } from '../postgres/archive-script.ts';
import { restoreArchive } from '../postgres/pg-restore.ts';
import { restoreScript } from '../postgres/psql.ts';
import { planPgRestore, type RestoreRequest } from '../postgres/restore-plan.ts';
import { readServerInfo, type ServerInfo } from '../postgres/server-info.ts';
import { openSession } from '../postgres/session.ts';
import { countUserObjects, createSchemas, describeContents } from '../postgres/target-database.ts';
import type { Archive } from './archive.ts';
import { createTarget, dropTarget } from './target-database.ts';
import { warnAll, type UseCaseContext } from './use-case-context.ts';

export interface DatabaseTarget {
  readonly connection: Connection;
  /** Make the database first, like the one dumped; drop it again when the restore fails. */
  readonly createDatabase: boolean;
  readonly options: RestoreRequest;
  /** Take out everything the database has, in the same transaction; otherwise it must be empty. */
  readonly clean: boolean;
  readonly binDir?: string | undefined;
  /** Fails the restore when the store gives no byte for so long. */
  readonly stallTimeoutMs: number;
  /** Called once, when bytes begin to flow. */
  readonly onStart?: (meter: Meter) => void;
}

export interface DatabaseRestoreReport {
  /** Without secrets. */
  readonly target: string;
  /** Bytes of dump given to the client tool. */
  readonly plainBytes: number;
}

/**
 * Restores into a database, whole or not at all: one transaction for archives, and for scripts too unless they commit
 * on their own; a database made for the restore is dropped when it fails. Refuses a database that is not empty, unless
 * `clean`. Errors: `conflict` (not empty, or there already), `postgres`, `integrity`, those of the archive.
 */
export async function restoreToDatabase(
  archive: Archive,
  target: DatabaseTarget,
  context: UseCaseContext,
): Promise<DatabaseRestoreReport> {
  warnAll(context, target.connection.warnings);
  if (target.createDatabase) await createTarget(target.connection, archive.source, context);
  try {
    return await restoreInto(archive, target, context);
  } catch (error) {
    if (target.createDatabase) await dropAfterFailure(target.connection, context);
    throw error;
  }
}

async function restoreInto(
  archive: Archive,
  target: DatabaseTarget,
  context: UseCaseContext,
): Promise<DatabaseRestoreReport> {
  const { server, connection } = await checkTarget(target, context);
  const meter = new Meter();
  target.onStart?.(meter);
  const stall = { meter, timeoutMs: target.stallTimeoutMs, what: `"${archive.name}"` };
  const { warnings } = await runPipeline({ signal: context.signal, stall }, async (signal) => {
    const { format, body } = await archive.open(signal);
    // A script may commit on its way, which cannot be undone.
    if (format === 'plain') await archive.checkStored(signal);
    const run = { archive, target: { ...target, connection }, server, context: { ...context, signal } };
    return await feeders[format](meter.count(body), run);
  });
  warnAll(context, warnings);
  return { target: describeConnection(target.connection), plainBytes: meter.bytes };
}

interface Run {
  readonly archive: Archive;
  readonly target: DatabaseTarget;
  readonly server: ServerInfo;
  readonly context: UseCaseContext;
}

/** What both client tools report. */
interface Fed {
  readonly warnings: readonly string[];
}

const feeders = { custom: feedPgRestore, plain: feedPsql } as const;

async function feedPgRestore(body: ByteStream, { archive, target, server, context }: Run): Promise<Fed> {
  const { args, isSelective } = planPgRestore(target.options);
  // pg_restore reads archives of its own and of older pg_dumps.
  const serverMajor = Math.max(archive.clientMajor ?? 0, server.major);
  const tool = await findClientTool('pg_restore', { serverMajor, binDir: target.binDir, env: context.env });
  const restore = { tool, args, connection: target.connection, signal: context.signal };
  // A part of an archive is complete before its end was read and checked: only the script waits for that.
  if (!isSelective && !target.clean && !needsScript(tool, server.major)) return await restoreArchive(restore, body);
  const psql = await findPsql(target, server, context);
  return await restoreArchiveAsScript({ ...restore, ...scriptSettings(target, server), psql }, body);
}

async function feedPsql(body: ByteStream, { archive, target, server, context }: Run): Promise<Fed> {
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

async function findPsql(target: DatabaseTarget, server: ServerInfo, context: UseCaseContext): Promise<ClientTool> {
  return await findClientTool('psql', { serverMajor: server.major, binDir: target.binDir, env: context.env });
}

/** psql runs a script as it is: nothing can be left out. */
function unsupportedForScripts(options: RestoreRequest): string | null {
  if (planPgRestore(options).isSelective) return 'restoring one schema or table';
  if (options.noOwner === true) return '--no-owner';
  if (options.noPrivileges === true) return '--no-privileges';
  return null;
}

/** Also gives the connection to the very server that was looked at. */
async function checkTarget(
  target: DatabaseTarget,
  context: UseCaseContext,
): Promise<{ server: ServerInfo; connection: Connection }> {
  await using session = await openSession(target.connection, { applicationName: productName, signal: context.signal });
  const server = await readServerInfo(session);
  const found = describeContents(await countUserObjects(session));
  if (found !== null && !target.clean) {
    throw new BackupError('conflict', `database "${server.database}" is not empty: it has ${found}`, {
      hint: 'Restore into a new database with --create-db, or replace what is there with --clean.',
    });
  }
  return { server, connection: session.connection };
}

async function dropAfterFailure(connection: Connection, context: UseCaseContext): Promise<void> {
  try {
    await dropTarget(connection);
  } catch (error) {
    context.log.warn(
      { problem: describeError(error) },
      `cannot drop ${describeConnection(connection)}: it holds nothing that can be used`,
    );
  }
}
