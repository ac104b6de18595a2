import { createHash } from 'node:crypto';
import { BackupError } from '../core/backup-error.ts';
import type { Row, Session } from './session.ts';

/** A lock that keeps two backups of one label from running at once. Dispose releases it. */
export interface LabelLock extends AsyncDisposable {
  /** Settles when the lock is lost, because its session is: the backup must stop then. Never fails. */
  readonly lost: Promise<BackupError>;
}

/** First key of our advisory locks, so that they meet nobody else's: "lrlb" in ASCII. */
const lockClass = 0x6c_72_6c_62;

interface Holder extends Row {
  readonly pid: number;
  readonly application: string | null;
  readonly since: string | null;
}

const holderSql = `
  SELECT pid, application_name AS application, to_char(backend_start, 'YYYY-MM-DD HH24:MI:SS TZ') AS since
  FROM pg_locks LEFT JOIN pg_stat_activity USING (pid)
  WHERE locktype = 'advisory' AND granted AND objsubid = 2
    AND classid = $1::int4::oid AND objid = $2::int4::oid
    AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())`;

/**
 * Takes the session's advisory lock for `label`, which the server releases when the session ends, however it ends. Such
 * locks count per database. Needs a session of its own for as long as it is held, not one through a pooler that shares
 * connections between transactions. Fails with `conflict` when another session holds it.
 */
export async function acquireLabelLock(session: Session, label: string): Promise<LabelLock> {
  const keys = [lockClass, hashLabel(label)];
  const [row] = await session.query<{ readonly locked: boolean }>(
    'SELECT pg_try_advisory_lock($1, $2) AS locked',
    keys,
  );
  if (row?.locked !== true) throw await describeConflict(session, label, keys);
  return {
    lost: session.lost,
    // Without a session there is nothing to release.
    [Symbol.asyncDispose]: async () =>
      void (await session.query('SELECT pg_advisory_unlock($1, $2)', keys).catch(() => [])),
  };
}

async function describeConflict(session: Session, label: string, keys: readonly number[]): Promise<BackupError> {
  const [holder] = await session.query<Holder>(holderSql, keys);
  return new BackupError('conflict', `another backup of "${label}" is running${describeHolder(holder)}`, {
    hint: 'Wait until it has ended, or end it.',
  });
}

function describeHolder(holder: Holder | undefined): string {
  if (holder === undefined) return '';
  const application = holder.application === null || holder.application === '' ? '' : `, "${holder.application}"`;
  return ` (server process ${holder.pid}${application}${holder.since === null ? '' : `, since ${holder.since}`})`;
}

function hashLabel(label: string): number {
  return createHash('sha256').update(label, 'utf8').digest().readInt32BE(0);
}
