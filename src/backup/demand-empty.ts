import { BackupError } from '../core/backup-error.ts';
import type { Session } from '../postgres/session.ts';
import { countUserObjects, describeContents, schemaExists } from '../postgres/target-database.ts';
import { unfinishedMark } from './restore-run.ts';

/** Fails with `conflict` unless the database is empty; `but` for our own mark, which it bears. */
export async function demandEmpty(session: Session, but: 'mark' | 'nothing'): Promise<void> {
  const { database } = session.connection;
  if (but === 'nothing' && (await schemaExists(session, unfinishedMark))) {
    throw new BackupError('conflict', `database "${database}" is not complete: a restore into it was interrupted`, {
      hint: 'Let a restore that still runs come to its end; otherwise replace what is there with --clean.',
    });
  }
  const objects = await countUserObjects(session);
  const schemas = objects.schemas - (but === 'mark' ? 1 : 0);
  const found = describeContents({ ...objects, schemas });
  if (found !== null) {
    throw new BackupError('conflict', `database "${database}" is not empty: it has ${found}`, {
      hint: 'Restore into a new database with --create-db, or replace what is there with --clean.',
    });
  }
}
