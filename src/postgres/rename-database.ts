import { setTimeout as sleep } from 'node:timers/promises';
import { BackupError, describeError } from '../core/backup-error.ts';
import { errorCode } from '../core/error-code.ts';
import { quoteIdentifier } from './quote.ts';
import type { Row, Session } from './session.ts';

/** A database that takes the name of another one. */
export interface DatabaseSwap {
  /** The database that is to get the name. */
  readonly fresh: string;
  readonly name: string;
  /** What the database that has the name is called from then on. */
  readonly formerName: string;
}

/** Sessions in another database of the same server, of a role that may do all that a swap is. */
export interface SwapSessions {
  readonly renaming: Session;
  readonly ending: Session;
}

/** Each waits 5 seconds for sessions to end, and no longer for locks that others have. */
const attempts = 5;
const lockTimeout = '5s';
const endingMs = 100;
/** `object_in_use`, `lock_not_available`, `deadlock_detected`, and what a change at the same time gives (manual, appendix A). */
const transientCodes: ReadonlySet<string> = new Set(['55006', '55P03', '40P01', 'XX000']);

export async function renameDatabase(session: Session, from: string, to: string): Promise<void> {
  await session.query(`ALTER DATABASE ${quoteIdentifier(from)} RENAME TO ${quoteIdentifier(to)}`);
}

/** A setting that the role may not give to a database. */
export interface LostSetting {
  readonly name: string;
  /** Whose setting it is; `null`: everybody's. */
  readonly role: string | null;
  readonly problem: string;
}

/**
 * Gives `fresh` the name and all else of the database `name` that is not inside it; that is called `formerName` from then
 * on. Ends the sessions in both. Either both names change or none, whenever we are killed. Returns the settings that
 * could not be given: a restore of hours is worth more than they are. Errors: `postgres`.
 */
export async function swapDatabases(sessions: SwapSessions, swap: DatabaseSwap): Promise<readonly LostSetting[]> {
  const { renaming } = sessions;
  for (let attempt = 1; ; attempt += 1) {
    try {
      await renaming.query(`BEGIN; SET LOCAL lock_timeout = '${lockTimeout}'`);
      const lost = await giveTraits(renaming, swap);
      await renameOnceEmpty(sessions, swap);
      await renameDatabase(renaming, swap.fresh, swap.name);
      await renaming.query('COMMIT');
      return lost;
    } catch (error) {
      // Where that fails as well, the server does it.
      await renaming.query('ROLLBACK').catch(() => {});
      if (!isTransient(error)) throw error;
      if (attempt === attempts) throw stillInUse(swap.name, error);
    }
  }
}

async function giveTraits(session: Session, swap: DatabaseSwap): Promise<readonly LostSetting[]> {
  const lost: LostSetting[] = [];
  for (const { statement, setting, role } of await describeDatabase(session, swap)) {
    if (setting === null) {
      await session.query(statement);
      continue;
    }
    const problem = await trySetting(session, statement);
    if (problem !== null) lost.push({ name: setting, role, problem });
  }
  return lost;
}

/** Returns why it could not be done, which leaves the transaction as it was; `null`: it is done. */
async function trySetting(session: Session, statement: string): Promise<string | null> {
  await session.query('SAVEPOINT setting');
  try {
    await session.query(statement);
    await session.query('RELEASE SAVEPOINT setting');
    return null;
  } catch (error) {
    if (isTransient(error)) throw error;
    await session.query('ROLLBACK TO SAVEPOINT setting');
    return describeError(error);
  }
}

/**
 * A renaming locks the database, so that nobody gets into it any more, and waits 5 seconds for those who are in it: they
 * are ended meanwhile. Without closing the database, which would stay closed if we were killed.
 */
async function renameOnceEmpty({ renaming, ending }: SwapSessions, swap: DatabaseSwap): Promise<void> {
  const renamed = renameDatabase(renaming, swap.name, swap.formerName);
  const settled = renamed.then(
    () => true,
    () => true,
  );
  do await endSessions(ending, swap);
  while (!(await Promise.race([settled, sleep(endingMs, false)])));
  await renamed;
}

/**
 * Fails with `postgres` unless the role of `session` may rename the database `name` and make the one for its place: better
 * before a long restore than after it.
 */
export async function demandSwapRights(session: Session, name: string): Promise<void> {
  const rows = await session.query(
    `SELECT FROM pg_database AS d, pg_roles AS r
     WHERE d.datname = $1 AND r.rolname = current_user
       AND (r.rolsuper OR r.rolcreatedb AND pg_has_role(d.datdba, 'USAGE'))`,
    [name],
  );
  if (rows.length > 0) return;
  throw new BackupError('postgres', `the role may not put another database in the place of "${name}"`, {
    hint: 'Use the owner of the database, with the right CREATEDB, or a superuser.',
  });
}

async function endSessions(session: Session, { fresh, name }: DatabaseSwap): Promise<void> {
  try {
    await session.query(
      // Not those of nobody: autovacuum gives way by itself.
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = ANY($1) AND usesysid IS NOT NULL AND pid <> pg_backend_pid()`,
      [[fresh, name]],
    );
  } catch (error) {
    throw new BackupError('postgres', `cannot end the sessions in database "${name}": ${describeError(error)}`, {
      hint: 'End them first, or use a role that is a member of pg_signal_backend.',
      cause: error,
    });
  }
}

function isTransient(error: unknown): boolean {
  return error instanceof BackupError && transientCodes.has(errorCode(error.cause));
}

function stillInUse(name: string, cause: unknown): BackupError {
  return new BackupError('postgres', `cannot rename database "${name}": ${describeError(cause)}`, {
    hint: 'End the sessions that do not end, then try again.',
    cause,
  });
}

interface TraitRow extends Row {
  readonly statement: string;
  /** Name of the setting that it sets, and of the role for which it does so. */
  readonly setting: string | null;
  readonly role: string | null;
}

/** What a database has besides its contents, as statements for another one. */
const traitsSql = `
  WITH d AS (SELECT * FROM pg_database WHERE datname = $1)
  SELECT format('ALTER DATABASE %I OWNER TO %I', $2::text, pg_get_userbyid(datdba)) AS statement,
      NULL AS setting, NULL AS role FROM d
  UNION ALL
  SELECT format('ALTER DATABASE %I WITH CONNECTION LIMIT %s ALLOW_CONNECTIONS %s IS_TEMPLATE %s',
      $2::text, datconnlimit, datallowconn::text, datistemplate::text), NULL, NULL FROM d
  UNION ALL
  SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', $2::text), NULL, NULL FROM d WHERE datacl IS NOT NULL
  UNION ALL
  SELECT format('GRANT %s ON DATABASE %I TO %s%s', a.privilege_type, $2::text,
      CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
      CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END), NULL, NULL
  FROM d, aclexplode(d.datacl) AS a
  UNION ALL
  SELECT format('ALTER %s SET %I TO %s',
      CASE WHEN s.setrole = 0 THEN format('DATABASE %I', $2::text)
           ELSE format('ROLE %I IN DATABASE %I', pg_get_userbyid(s.setrole), $2::text) END,
      split_part(setting, '=', 1),
      CASE WHEN split_part(setting, '=', 1) = ANY ($3::text[]) THEN substr(setting, strpos(setting, '=') + 1)
           ELSE quote_literal(substr(setting, strpos(setting, '=') + 1)) END),
      split_part(setting, '=', 1), CASE WHEN s.setrole <> 0 THEN pg_get_userbyid(s.setrole) END
  FROM d JOIN pg_db_role_setting AS s ON s.setdatabase = d.oid, unnest(s.setconfig) AS setting
  UNION ALL
  SELECT format('COMMENT ON DATABASE %I IS %L', $2::text, shobj_description(oid, 'pg_database')), NULL, NULL FROM d
  WHERE shobj_description(oid, 'pg_database') IS NOT NULL`;

/** Settings that are lists of names, which are stored as SQL takes them (GUC_LIST_QUOTE in PostgreSQL's guc tables). */
const listSettings = [
  'local_preload_libraries',
  'search_path',
  'session_preload_libraries',
  'shared_preload_libraries',
  'temp_tablespaces',
  'unix_socket_directories',
];

async function describeDatabase(session: Session, { fresh, name }: DatabaseSwap): Promise<readonly TraitRow[]> {
  return await session.query<TraitRow>(traitsSql, [name, fresh, listSettings]);
}
