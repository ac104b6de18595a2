import { createHash } from 'node:crypto';
import type { BackupError } from '../core/backup-error.ts';
import { describeConflict, lockClasses, type LockKeys } from './advisory-lock.ts';
import type { Session } from './session.ts';

/** A lock that keeps two backups of one label from running at once. Dispose releases it. */
export interface LabelLock extends AsyncDisposable {
  /** Settles when the lock is lost, because its session is: the backup must stop then. Never fails. */
  readonly lost: Promise<BackupError>;
}

/**
 * Takes the session's advisory lock for `label`, which the server releases when the session ends, however it ends. Such
 * locks count per database. Needs a session of its own for as long as it is held, not one through a pooler that shares
 * connections between transactions. Fails with `conflict` when another session holds it.
 */
export async function acquireLabelLock(session: Session, label: string): Promise<LabelLock> {
  const keys: LockKeys = [lockClasses.backup, hashLabel(label)];
  const [row] = await session.query<{ readonly locked: boolean }>(
    'SELECT pg_try_advisory_lock($1, $2) AS locked',
    keys,
  );
  if (row?.locked !== true) throw await describeConflict(session, keys, `another backup of "${label}"`);
  return {
    lost: session.lost,
    // Without a session there is nothing to release.
    [Symbol.asyncDispose]: async () =>
      void (await session.query('SELECT pg_advisory_unlock($1, $2)', keys).catch(() => [])),
  };
}

function hashLabel(label: string): number {
  return createHash('sha256').update(label, 'utf8').digest().readInt32BE(0);
}
