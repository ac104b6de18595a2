import { BackupError } from '../core/backup-error.ts';
import { quoteIdentifier, quoteLiteral } from './quote.ts';
import type { DatabaseLocale } from './server-info.ts';
import type { Row, Session } from './session.ts';

/** How many objects of its users a database has, by sort. All zero: a restore finds nothing in its way. */
export interface UserObjects {
  readonly relations: number;
  readonly types: number;
  readonly functions: number;
  readonly schemas: number;
  readonly largeObjects: number;
  /** Operators, casts, collations, languages, event triggers, publications, subscriptions, foreign servers and the like. */
  readonly others: number;
}

/** Objects that initdb made have smaller numbers. */
const firstUserOid = 16_384;

/** Rows of a catalog that a user made and that belong to no extension. */
const madeByUser = (catalog: string, condition = 'true') => `
  SELECT count(*)::int FROM ${catalog} AS made
  WHERE made.oid >= ${firstUserOid} AND ${condition} AND NOT EXISTS (
    SELECT FROM pg_depend
    WHERE deptype = 'e' AND classid = '${catalog}'::regclass AND objid = made.oid)`;

/** Temporary tables of other sessions come and go. */
const permanentSchema = "NOT EXISTS (SELECT FROM pg_namespace AS n WHERE n.oid = SCHEMA AND n.nspname ~ '^pg_')";

const inPermanentSchema = (column: string) => permanentSchema.replace('SCHEMA', column);

const otherCatalogs = [
  'pg_operator',
  'pg_opclass',
  'pg_opfamily',
  'pg_collation',
  'pg_conversion',
  'pg_ts_config',
  'pg_ts_dict',
  'pg_ts_parser',
  'pg_ts_template',
  'pg_cast',
  'pg_language',
  'pg_transform',
  'pg_am',
  'pg_event_trigger',
  'pg_foreign_data_wrapper',
  'pg_foreign_server',
  'pg_publication',
];

/** Those of all databases are in one catalog. */
const subscriptions = `SELECT count(*)::int FROM pg_subscription
  WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())`;

const countSql = `
  SELECT
    (${madeByUser('pg_class', `made.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND ${inPermanentSchema('made.relnamespace')}`)}) AS relations,
    (${madeByUser(
      'pg_type',
      `made.typtype IN ('d', 'e', 'r', 'c', 'b') AND made.typelem = 0
      AND NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = made.typrelid AND c.relkind <> 'c')
      AND ${inPermanentSchema('made.typnamespace')}`,
    )}) AS types,
    (${madeByUser('pg_proc', inPermanentSchema('made.pronamespace'))}) AS functions,
    (${madeByUser('pg_namespace', "made.nspname <> 'public' AND made.nspname !~ '^pg_'")}) AS schemas,
    (SELECT count(*)::int FROM pg_largeobject_metadata) AS "largeObjects",
    ${otherCatalogs.map((catalog) => `(${madeByUser(catalog)})`).join(' + ')} + (${subscriptions}) AS others`;

/** Counts what users have put into the database of `session`. */
export async function countUserObjects(session: Session): Promise<UserObjects> {
  const [counts] = await session.query<UserObjects & Row>(countSql);
  if (counts === undefined) throw new TypeError('a query without FROM has one row');
  return counts;
}

/** `null`: there are none; otherwise what there is, e.g. `3 relations and 1 function`. */
export function describeContents(objects: UserObjects): string | null {
  const sorts: readonly (readonly [number, string])[] = [
    [objects.relations, 'relation'],
    [objects.types, 'type'],
    [objects.functions, 'function'],
    [objects.schemas, 'schema'],
    [objects.largeObjects, 'large object'],
    [objects.others, 'other object'],
  ];
  const parts = sorts
    .filter(([count]) => count > 0)
    .map(([count, sort]) => `${count} ${sort}${count === 1 ? '' : 's'}`);
  return parts.length === 0 ? null : new Intl.ListFormat('en').format(parts);
}

export async function databaseExists(session: Session, name: string): Promise<boolean> {
  const rows = await session.query('SELECT FROM pg_database WHERE datname = $1', [name]);
  return rows.length > 0;
}

/** Databases in which nobody is and whose names are `start` and six hex digits. */
export async function findUnused(session: Session, start: string): Promise<readonly string[]> {
  const rows = await session.query<Row & { readonly name: string }>(
    `SELECT datname AS name FROM pg_database AS d
     WHERE starts_with(datname, $1) AND substr(datname, length($1) + 1) ~ '^[0-9a-f]{6}$'
       AND NOT EXISTS (SELECT FROM pg_stat_activity AS a WHERE a.datid = d.oid)
     ORDER BY 1`,
    [start],
  );
  return rows.map(({ name }) => name);
}

export async function schemaExists(session: Session, name: string): Promise<boolean> {
  const rows = await session.query('SELECT FROM pg_namespace WHERE nspname = $1', [name]);
  return rows.length > 0;
}

export interface Tablespace {
  readonly name: string;
  /** Whether the role of the session may make a database in it. */
  readonly isAllowed: boolean;
}

/** The tablespace of a database; `null`: the one that a new database has anyway. */
export async function tablespaceOf(session: Session, name: string): Promise<Tablespace | null> {
  const [row] = await session.query<Row & Tablespace>(
    `SELECT spcname AS name, has_tablespace_privilege(t.oid, 'CREATE') AS "isAllowed"
     FROM pg_database AS d JOIN pg_tablespace AS t ON t.oid = d.dattablespace
     WHERE datname = $1 AND dattablespace <> (SELECT dattablespace FROM pg_database WHERE datname = 'template0')`,
    [name],
  );
  return row ?? null;
}

export interface NewDatabase {
  /** How it sorts and compares. */
  readonly locale: DatabaseLocale;
  /** The server's default without. */
  readonly tablespace?: string | undefined;
}

/**
 * Creates an empty database from template0. `session` is in another database of the same server. Errors: `conflict` (there
 * is one of that name), `postgres` (no right to, no such locale or provider).
 */
export async function createDatabase(session: Session, name: string, traits: NewDatabase): Promise<void> {
  const { locale, tablespace } = traits;
  if (await databaseExists(session, name)) {
    throw new BackupError('conflict', `database "${name}" exists already`, {
      hint: 'Choose another name, or drop it.',
    });
  }
  const [server] = await session.query<Row & { readonly versionNum: number }>(
    `SELECT current_setting('server_version_num')::int AS "versionNum"`,
  );
  const options = localeOptions(locale, server?.versionNum ?? 0);
  if (tablespace !== undefined) options.push(`TABLESPACE ${quoteIdentifier(tablespace)}`);
  await session.query(`CREATE DATABASE ${quoteIdentifier(name)} TEMPLATE template0 ${options.join(' ')}`);
}

/** The first servers whose databases have another provider than the C library. */
const firstVersions = { icu: 150_000, builtin: 170_000 } as const;

function localeOptions({ encoding, collate, ctype, ...more }: DatabaseLocale, versionNum: number): string[] {
  const { localeProvider, locale, icuRules } = more;
  const options = [
    `ENCODING ${quoteLiteral(encoding)}`,
    `LC_COLLATE ${quoteLiteral(collate)}`,
    `LC_CTYPE ${quoteLiteral(ctype)}`,
  ];
  if (localeProvider === undefined)
    return versionNum < firstVersions.icu ? options : [...options, 'LOCALE_PROVIDER libc'];
  if (versionNum < firstVersions[localeProvider]) {
    throw new BackupError('postgres', `the server is too old to sort by the ${localeProvider} locale "${locale}"`, {
      hint: 'Restore to a newer server, or make the database yourself and restore into it.',
    });
  }
  return [
    ...options,
    `LOCALE_PROVIDER ${localeProvider}`,
    `${localeProvider === 'icu' ? 'ICU' : 'BUILTIN'}_LOCALE ${quoteLiteral(locale ?? '')}`,
    ...(icuRules === undefined ? [] : [`ICU_RULES ${quoteLiteral(icuRules)}`]),
  ];
}

/** SQL that makes the schemas that are not there. */
export function createSchemas(names: readonly string[]): string {
  return names.map((name) => `CREATE SCHEMA IF NOT EXISTS ${quoteIdentifier(name)};\n`).join('');
}

/** Whether the database cannot be dropped, for it has subscriptions. `session` may be in another one of the same server. */
export async function hasSubscriptions(session: Session, name: string): Promise<boolean> {
  const sql = 'SELECT FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = $1) LIMIT 1';
  return (await session.query(sql, [name])).length > 0;
}

/** Drops a database, if it is there, and ends the sessions in it. `session` is in another one of the same server. */
export async function dropDatabase(session: Session, name: string): Promise<void> {
  await session.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(name)} WITH (FORCE)`);
}
