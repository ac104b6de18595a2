import { BackupError, describeError } from '../core/backup-error.ts';
import { productName } from '../core/version.ts';
import { withDatabase, type Connection } from '../postgres/connection.ts';
import { openSession, type Session } from '../postgres/session.ts';
import { createDatabase, dropDatabase } from '../postgres/target-database.ts';
import type { Archive } from './archive.ts';
import type { UseCaseContext } from './use-case-context.ts';

/** Databases that every server has, to connect to before the one wanted exists. */
const maintenanceDatabases = ['postgres', 'template1'] as const;

/** Like a fresh server would have it, when nothing is known of the database dumped. */
const defaultLocale = { encoding: 'UTF8', collate: 'C', ctype: 'C' } as const;

/**
 * Makes the database that `connection` names, with the encoding and locale of the one dumped. Errors: `conflict` (it
 * exists), `postgres`.
 */
export async function createTarget(
  connection: Connection,
  locale: Archive['source'],
  context: UseCaseContext,
): Promise<void> {
  await using session = await openMaintenanceSession(connection, context.signal);
  await createDatabase(session, { ...defaultLocale, ...locale, name: connection.database });
}

/** Drops the database again after a failed restore, also when that failed because the user interrupted it. */
export async function dropTarget(connection: Connection): Promise<void> {
  await using session = await openMaintenanceSession(connection, undefined);
  await dropDatabase(session, connection.database);
}

async function openMaintenanceSession(connection: Connection, signal: AbortSignal | undefined): Promise<Session> {
  const problems: string[] = [];
  for (const database of maintenanceDatabases) {
    try {
      return await openSession(withDatabase(connection, database), { applicationName: productName, signal });
    } catch (error) {
      signal?.throwIfAborted();
      problems.push(describeError(error));
    }
  }
  throw new BackupError('postgres', `cannot connect to make or drop a database: ${problems.join('; ')}`);
}
