import { BackupError } from '../core/backup-error.ts';
import { quoteIdentifier, quoteLiteral } from './quote.ts';
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

export async function schemaExists(session: Session, name: string): Promise<boolean> {
  const rows = await session.query('SELECT FROM pg_namespace WHERE nspname = $1', [name]);
  return rows.length > 0;
}

export interface NewDatabase {
  readonly name: string;
  readonly encoding: string;
  readonly collate: string;
  readonly ctype: string;
}

/**
 * Creates an empty database with the given encoding and locale, from template0. `session` is in another database of the
 * same server. Errors: `conflict` (there is one of that name), `postgres` (no right to, no such locale).
 */
export async function createDatabase(session: Session, database: NewDatabase): Promise<void> {
  const { name, encoding, collate, ctype } = database;
  if (await databaseExists(session, name)) {
    throw new BackupError('conflict', `database "${name}" exists already`, {
      hint: 'Choose another name, or drop it.',
    });
  }
  await session.query(
    `CREATE DATABASE ${quoteIdentifier(name)} TEMPLATE template0 ENCODING ${quoteLiteral(encoding)}
     LC_COLLATE ${quoteLiteral(collate)} LC_CTYPE ${quoteLiteral(ctype)}`,
  );
}

/** SQL that makes the schemas that are not there. */
export function createSchemas(names: readonly string[]): string {
  return names.map((name) => `CREATE SCHEMA IF NOT EXISTS ${quoteIdentifier(name)};\n`).join('');
}

/** Drops a database, if it is there, and ends the sessions in it. `session` is in another one of the same server. */
export async function dropDatabase(session: Session, name: string): Promise<void> {
  await session.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(name)} WITH (FORCE)`);
}
