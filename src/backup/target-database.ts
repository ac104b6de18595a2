import { randomBytes } from 'node:crypto';
import { BackupError, describeError } from '../core/backup-error.ts';
import { productName } from '../core/version.ts';
import { dropSubscriptionsScript } from '../postgres/clean-script.ts';
import { describeConnection, withDatabase, type Connection } from '../postgres/connection.ts';
import { demandSwapRights, renameDatabase, swapDatabases, type LostSetting } from '../postgres/rename-database.ts';
import { openSession, type Session } from '../postgres/session.ts';
import {
  createDatabase,
  databaseExists,
  dropDatabase,
  findUnused,
  hasSubscriptions,
  tablespaceOf,
} from '../postgres/target-database.ts';
import type { Archive } from './archive.ts';
import type { UseCaseContext } from './use-case-context.ts';

/**
 * Where a restore goes: into the database that the connection names (`existing`), which may have to be made first
 * (`create`) or whose place the restored one takes (`swap`).
 */
export type TargetMode = 'existing' | 'create' | 'swap';

export interface TargetPlan {
  readonly connection: Connection;
  readonly mode: TargetMode;
  readonly source: Archive['source'];
  /** Work in a database of another name, so that none of this name is there before it is complete. */
  readonly isStaged: boolean;
}

/** Databases that every server has, to connect to before the one wanted exists. */
const maintenanceDatabases = ['postgres', 'template1'] as const;

/** Like a fresh server would have it, when nothing is known of the database dumped. */
const defaultLocale = { encoding: 'UTF8', collate: 'C', ctype: 'C' } as const;

const subscriptionsTimeout = '30s';

/** PostgreSQL's limit for names, in bytes. */
const maxNameBytes = 63;

/**
 * Runs `work` with a connection to the database to restore into, made like the one dumped where it is to be made. A
 * database that was made is dropped again when the work fails; a staged one gets its name only when the work is done.
 * Errors: `conflict` (it exists, or does not), `postgres`, those of `work`.
 */
export async function inTarget<Result>(
  plan: TargetPlan,
  context: UseCaseContext,
  work: (connection: Connection) => Promise<Result>,
): Promise<{ readonly result: Result; readonly formerName: string | null }> {
  const { connection, mode } = plan;
  if (mode === 'existing') return { result: await work(connection), formerName: null };
  const name = connection.database;
  await demandExistence(plan, context);
  const fresh = plan.isStaged || mode === 'swap' ? deriveName(name, 'restoring') : name;
  const target = withDatabase(connection, fresh);
  context.signal.throwIfAborted();
  await createTarget(target, plan, context);
  try {
    context.signal.throwIfAborted();
    const result = await work(target);
    const formerName = mode === 'swap' ? deriveName(name, 'before') : null;
    context.signal.throwIfAborted();
    const lost = await giveName(connection, { fresh, name, formerName });
    for (const { name: setting, role, problem } of lost) {
      const whose = role === null ? '' : ` of role "${role}"`;
      context.log.warn({ problem }, `setting "${setting}"${whose} is not carried over from "${formerName}"`);
    }
    return { result, formerName };
  } catch (error) {
    await dropAfterFailure(target, context);
    throw error;
  }
}

async function demandExistence({ connection, mode }: TargetPlan, context: UseCaseContext): Promise<void> {
  await using session = await openMaintenanceSession(connection, context.signal);
  for (const leftover of await findUnused(session, nameStart(connection.database, 'restoring'))) {
    context.log.warn({}, `database "${leftover}" was left by a restore that was killed: drop it`);
  }
  const exists = await databaseExists(session, connection.database);
  if (exists && mode === 'swap') return await demandSwapRights(session, connection.database);
  if (!exists && mode === 'create') return;
  if (exists) {
    throw new BackupError('conflict', `database "${connection.database}" exists already`, {
      hint: 'Choose another name, drop it, or take its place with --swap.',
    });
  }
  throw new BackupError('conflict', `there is no database "${connection.database}" whose place could be taken`, {
    hint: 'Make it with --create-db.',
  });
}

const randomBytesOfName = 3;

/** `shop_restoring_7f3a9c`, cut where the name is too long. */
function deriveName(name: string, purpose: string): string {
  return nameStart(name, purpose) + randomBytes(randomBytesOfName).toString('hex');
}

/** What such names of one purpose have in common. */
function nameStart(name: string, purpose: string): string {
  const suffix = `_${purpose}_`;
  let kept = name;
  while (Buffer.byteLength(kept + suffix) + 2 * randomBytesOfName > maxNameBytes) {
    kept = Array.from(kept).slice(0, -1).join('');
  }
  return kept + suffix;
}

interface NewName {
  readonly fresh: string;
  readonly name: string;
  /** What the database that has the name now is to be called. */
  readonly formerName: string | null;
}

/** From here on an interruption comes too late. */
async function giveName(connection: Connection, { fresh, name, formerName }: NewName): Promise<readonly LostSetting[]> {
  if (fresh === name) return [];
  await using renaming = await openMaintenanceSession(connection, undefined);
  if (formerName === null) {
    await renameDatabase(renaming, fresh, name);
    return [];
  }
  await using ending = await openMaintenanceSession(connection, undefined);
  return await swapDatabases({ renaming, ending }, { fresh, name, formerName });
}

/** Not ended by an interruption, which would not keep the server from making it. */
async function createTarget(target: Connection, plan: TargetPlan, context: UseCaseContext): Promise<void> {
  await using session = await openMaintenanceSession(target, undefined);
  const tablespace = plan.mode === 'swap' ? await tablespaceOf(session, plan.connection.database) : null;
  if (tablespace?.isAllowed === false) {
    context.log.warn(
      {},
      `the role may make no database in tablespace "${tablespace.name}": it will be in the default one`,
    );
  }
  await createDatabase(session, target.database, {
    locale: plan.source ?? defaultLocale,
    ...(tablespace?.isAllowed === true && { tablespace: tablespace.name }),
  });
}

/** Also when the restore failed because the user interrupted it. */
async function dropAfterFailure(connection: Connection, context: UseCaseContext): Promise<void> {
  try {
    await using session = await openMaintenanceSession(connection, undefined);
    if (await hasSubscriptions(session, connection.database)) await dropRestoredSubscriptions(connection);
    await dropDatabase(session, connection.database);
  } catch (error) {
    context.log.warn(
      { problem: describeError(error) },
      `cannot drop ${describeConnection(connection)}: it holds nothing that can be used`,
    );
  }
}

/** From inside: there is no other way. A long transaction that changes some in another database may be in the way. */
async function dropRestoredSubscriptions(connection: Connection): Promise<void> {
  await using session = await openSession(connection, { applicationName: productName });
  await session.query(`SET lock_timeout = '${subscriptionsTimeout}'`);
  await session.query(dropSubscriptionsScript);
}

async function openMaintenanceSession(connection: Connection, signal: AbortSignal | undefined): Promise<Session> {
  const problems: string[] = [];
  for (const database of maintenanceDatabases) {
    // Nobody may be in a database that is renamed or dropped.
    if (database === connection.database) continue;
    try {
      return await openSession(withDatabase(connection, database), { applicationName: productName, signal });
    } catch (error) {
      signal?.throwIfAborted();
      problems.push(describeError(error));
    }
  }
  throw new BackupError('postgres', `cannot connect to make or drop a database: ${problems.join('; ')}`);
}
