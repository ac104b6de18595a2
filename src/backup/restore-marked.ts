import { setTimeout } from 'node:timers/promises';
import { BackupError, describeError } from '../core/backup-error.ts';
import { productName } from '../core/version.ts';
import { cleanScript } from '../postgres/clean-script.ts';
import { openSession, type Session } from '../postgres/session.ts';
import { schemaExists } from '../postgres/target-database.ts';
import { demandEmpty } from './demand-empty.ts';
import { unfinishedMark, type RestoreRun } from './restore-run.ts';

/**
 * Restores by `work`, which is no transaction, into a database that was there before, and empty. It bears a mark as long
 * as it is not complete, and is emptied again by a failure: only of what came after the mark. Errors: `conflict` (not
 * empty, extensions, another restore has it), `postgres`, those of `work`.
 */
export async function restoreMarked(run: RestoreRun, work: () => Promise<void>): Promise<void> {
  let wasEmpty = false;
  try {
    await putMarkOn(run);
    wasEmpty = true;
    await work();
    run.context.signal.throwIfAborted();
    await takeMarkOff(run);
  } catch (error) {
    await undo(run, wasEmpty);
    throw error;
  }
}

/** What was there before the others could see the mark is found now. */
async function putMarkOn({ target, context }: RestoreRun): Promise<void> {
  await using session = await openSession(target.connection, { applicationName: productName, signal: context.signal });
  await session.query(`CREATE SCHEMA ${unfinishedMark}`);
  await demandEmpty(session, 'mark');
  await demandNothingToKeep(session);
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

/** From here on an interruption comes too late. In a session of its own: one that idles for hours may be lost. */
async function takeMarkOff({ target, lock }: RestoreRun): Promise<void> {
  let isAsked = false;
  await insist(async () => {
    await lock.confirm();
    await using session = await openSession(target.connection, { applicationName: productName });
    const isThere = await schemaExists(session, unfinishedMark);
    if (!isThere && !isAsked) throw withoutMark(session);
    isAsked = true;
    await session.query(`DROP SCHEMA IF EXISTS ${unfinishedMark}`);
  });
}

function withoutMark({ connection }: Session): BackupError {
  const message = `schema "${unfinishedMark}" is gone: somebody else has changed database "${connection.database}"`;
  return new BackupError('conflict', message, { hint: 'Look at what is there, and restore again.' });
}

async function undo(run: RestoreRun, wasEmpty: boolean): Promise<void> {
  try {
    await insist(async () => await endAndDrop(run, wasEmpty));
  } catch (error) {
    const what = wasEmpty
      ? 'empty the database again: it holds nothing that can be used'
      : `drop schema "${unfinishedMark}", which says that a restore is not complete`;
    run.context.log.warn({ problem: describeError(error) }, `cannot ${what}`);
  }
}

/** Without the lock, or the mark, what is in the database is no longer ours alone. */
async function endAndDrop({ target, server, lock }: RestoreRun, wasEmpty: boolean): Promise<void> {
  const holder = await lock.confirm();
  const { application_name: name } = target.connection.parameters;
  await using session = await openSession(target.connection, { applicationName: productName });
  const names = name === undefined ? ['pg_restore', 'psql', productName] : [name];
  await endSessions(session, [lock.takenAt, names, holder]);
  if (await schemaExists(session, unfinishedMark)) {
    await session.query(wasEmpty ? cleanScript(server.major) : `DROP SCHEMA ${unfinishedMark}`);
  } else if (wasEmpty) throw withoutMark(session);
}

/** A server does not notice that a client is gone as long as it is at work for it. */
const endSessionsSql = `
  SELECT pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE datname = current_database() AND usename = current_user AND backend_start >= $1 AND application_name = ANY ($2)
    AND pid NOT IN (pg_backend_pid(), $3)`;

/** How long sessions may take to undo what they did. */
const rollbackMs = 60_000;

/** Until they are gone, the disk may still be full of what they wrote. */
async function endSessions(
  session: Session,
  which: readonly [startedAt: string, names: readonly string[], holder: number],
): Promise<void> {
  const deadline = performance.now() + rollbackMs;
  while ((await session.query(endSessionsSql, which)).length > 0 && performance.now() < deadline) {
    await setTimeout(100);
  }
}

/** A disk that was full a moment ago may not even let a session begin. */
const attempts = 3;
const pauseMs = 1_000;

/** Tries again what failed, unless others are in the way. */
async function insist(work: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (attempt === attempts || (error instanceof BackupError && error.kind === 'conflict')) throw error;
      await setTimeout(pauseMs);
    }
  }
}
