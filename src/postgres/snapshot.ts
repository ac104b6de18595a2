import { BackupError, describeError } from '../core/backup-error.ts';
import { errorCode } from '../core/error-code.ts';
import type { Connection } from './connection.ts';
import { quoteIdentifier } from './quote.ts';
import { openSession, type OpenSessionOptions, type Row, type Session } from './session.ts';

export interface TableName {
  readonly schema: string;
  readonly name: string;
}

/** A view of the database as it is now, which other sessions can have as long as this is open. Dispose gives it up. */
export interface Snapshot extends AsyncDisposable {
  /** For `pg_dump --snapshot` and `SET TRANSACTION SNAPSHOT`. */
  readonly id: string;
  /** The session that holds it, inside its transaction. */
  readonly session: Session;
  /** Settles, with the reason, when the session is lost and the snapshot with it. Never fails. */
  readonly lost: Promise<BackupError>;
  /**
   * Keeps the tables from being dropped or rewritten until the snapshot is given up. Errors: `postgres`, for a table that
   * is gone since the snapshot, or whose lock was not to be had within `timeout` (as `lock_timeout` takes it).
   */
  lockTables(tables: readonly TableName[], timeout?: string): Promise<void>;
}

/** Names in one LOCK statement. */
const tablesPerLock = 500;

/**
 * Opens a session of its own with a snapshot that it exports; works on standbys as well. Errors: `postgres`, those of
 * `openSession`.
 */
export async function openSnapshot(connection: Connection, options: OpenSessionOptions): Promise<Snapshot> {
  const session = await openSession(connection, options);
  try {
    return {
      ...(await exportSnapshot(session)),
      [Symbol.asyncDispose]: async () => await session[Symbol.asyncDispose](),
    };
  } catch (error) {
    await session[Symbol.asyncDispose]();
    options.signal?.throwIfAborted();
    throw new BackupError('postgres', `cannot export a snapshot: ${describeError(error)}`, {
      hint: 'Back up with --jobs 1.',
      cause: error,
    });
  }
}

async function exportSnapshot(session: Session): Promise<Omit<Snapshot, typeof Symbol.asyncDispose>> {
  await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY');
  const [row] = await session.query<Row & { readonly id: string }>('SELECT pg_catalog.pg_export_snapshot() AS id');
  if (row === undefined) throw new TypeError('a query without FROM has one row');
  return {
    id: row.id,
    session,
    lost: session.lost,
    lockTables: async (tables, timeout = '0') => {
      await session.query(`SELECT pg_catalog.set_config('lock_timeout', $1, true)`, [timeout]);
      for (let start = 0; start < tables.length; start += tablesPerLock) {
        const names = tables.slice(start, start + tablesPerLock).map(({ schema, name }) => {
          return `ONLY ${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
        });
        await lock(session, names);
      }
    },
  };
}

async function lock(session: Session, names: readonly string[]): Promise<void> {
  try {
    await session.query(`LOCK TABLE ${names.join(', ')} IN ACCESS SHARE MODE`);
  } catch (error) {
    const cause = error instanceof BackupError ? error.cause : error;
    const hint = lockHints[errorCode(cause)];
    if (hint === undefined) throw error;
    throw new BackupError('postgres', `cannot lock the tables: ${describeError(cause)}`, { hint, cause });
  }
}

const runAgain = 'Run the backup again.';

/** By SQLSTATE (manual, appendix A). */
const lockHints: Readonly<Record<string, string>> = {
  // A table, or its schema, was dropped or renamed.
  '42P01': runAgain,
  '3F000': runAgain,
  '55P03': 'Try again when no schema change is running, or raise the lock wait timeout.',
};
