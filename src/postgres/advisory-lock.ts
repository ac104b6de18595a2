import { BackupError } from '../core/backup-error.ts';
import type { Row, Session } from './session.ts';

/** First keys of our advisory locks, so that they meet nobody else's: "lrlb" and "lrlr" in ASCII. */
export const lockClasses = { backup: 0x6c_72_6c_62, restore: 0x6c_72_6c_72 } as const;

/** Of one lock. Such locks count per database. */
export type LockKeys = readonly [lockClass: number, object: number];

/** Condition on `pg_locks`, with the keys of a lock of this database as first parameters: who holds it. */
export const isHolderSql = `locktype = 'advisory' AND granted AND objsubid = 2
    AND classid = $1::int4::oid AND objid = $2::int4::oid
    AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())`;

interface Holder extends Row {
  readonly pid: number;
  readonly application: string | null;
  readonly since: string | null;
}

const holderSql = `
  SELECT pid, application_name AS application, to_char(backend_start, 'YYYY-MM-DD HH24:MI:SS TZ') AS since
  FROM pg_locks LEFT JOIN pg_stat_activity USING (pid) WHERE ${isHolderSql}`;

/** The `conflict` with the session that holds a lock. `what` is running, e.g. `another backup of "shop"`. */
export async function describeConflict(session: Session, keys: LockKeys, what: string): Promise<BackupError> {
  const [holder] = await session.query<Holder>(holderSql, keys);
  return new BackupError('conflict', `${what} is running${describeHolder(holder)}`, {
    hint: 'Wait until it has ended, or end it.',
  });
}

function describeHolder(holder: Holder | undefined): string {
  if (holder === undefined) return '';
  const application = holder.application === null || holder.application === '' ? '' : `, "${holder.application}"`;
  return ` (server process ${holder.pid}${application}${holder.since === null ? '' : `, since ${holder.since}`})`;
}
