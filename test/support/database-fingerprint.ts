import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { escapeIdentifier, type Client, type QueryResultRow } from 'pg';
import type { Cluster } from './postgres-cluster.ts';

const run = promisify(execFile);

/** The rows of one table or materialized view. */
export interface TableRows {
  readonly count: number;
  /** Does not depend on the order of the rows. */
  readonly checksum: string;
}

/** What a database holds, in a form that two databases can be compared by. */
export interface DatabaseFingerprint {
  /** Text of `pg_dump --schema-only`, cut into its parts, without what differs between two equal dumps. */
  readonly schema: readonly string[];
  /** By table and materialized view; of partitions by the hash of an enum, which differ from restore to restore, in one. */
  readonly rows: ReadonlyMap<string, TableRows>;
  readonly sequences: ReadonlyMap<string, string>;
  /** Large objects by oid: size, checksum, owner, privileges. */
  readonly largeObjects: ReadonlyMap<string, string>;
  /** What the catalogs hold, by PostgreSQL's own name for it: also what pg_dump would never mention. */
  readonly objects: ReadonlyMap<string, string>;
  /** Encoding and locale. */
  readonly settings: ReadonlyMap<string, string>;
}

export interface FingerprintOptions {
  /** A schema, of a plain name, that is left out with everything in it: for a database with a part that does not keep still. */
  readonly except?: string;
}

/** Reads everything: all rows of all tables in one snapshot. Nobody may change the database meanwhile. */
export async function fingerprintDatabase(
  cluster: Cluster,
  database: string,
  { except = '' }: FingerprintOptions = {},
): Promise<DatabaseFingerprint> {
  const client = await cluster.connect(database);
  try {
    await client.query(sessionSettings);
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    return {
      schema: await dumpSchema(cluster, { database, except }),
      rows: await checksumTables(client, except),
      sequences: await readSequences(client, except),
      largeObjects: await checksumLargeObjects(client),
      objects: await listObjects(client, except),
      settings: await readSettings(client),
    };
  } finally {
    await client.end();
  }
}

/** One way to write every value, whatever the database's or the role's own settings say. */
const sessionSettings = `
  SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET bytea_output = 'hex';
  SET extra_float_digits = 3; SET lc_monetary = 'C'; SET xmlbinary = 'base64'; SET row_security = off;
  SET search_path = pg_catalog;
`;

interface SchemaToDump {
  readonly database: string;
  readonly except: string;
}

async function dumpSchema(cluster: Cluster, { database, except }: SchemaToDump): Promise<string[]> {
  const env = { PATH: process.env['PATH'], ...cluster.env(database) };
  const options = { env, maxBuffer: 256 * 1024 * 1024 };
  const args = ['--schema-only', ...(except === '' ? [] : [`--exclude-schema=${except}`])];
  const { stdout } = await run(join(cluster.binFolder, 'pg_dump'), args, options);
  return splitDump(stdout);
}

/** Every part of a dump begins with `--`, a line that names it, and `--`. */
function splitDump(text: string): string[] {
  const lines = text.split('\n').filter((line) => !changesFromDumpToDump(line));
  return lines
    .join('\n')
    .split(/\n(?=--\n-- [^\n]*\n--\n)/)
    .map((part) => part.trim());
}

function changesFromDumpToDump(line: string): boolean {
  return /^(?:\\(?:un)?restrict |-- Dumped (?:from|by) )/.test(line);
}

async function checksumTables(client: Client, except: string): Promise<Map<string, TableRows>> {
  const { rows: tables } = await client.query<{ space: string; name: string; filled: boolean; only: string }>(
    `WITH RECURSIVE by_enum AS (
      SELECT partrelid AS oid FROM pg_partitioned_table, unnest(partclass) AS class JOIN pg_opclass AS o ON o.oid = class
      WHERE partstrat = 'h' AND opcname = 'enum_ops'),
    below AS (
      SELECT inhrelid AS oid FROM pg_inherits JOIN by_enum ON inhparent = by_enum.oid
      UNION SELECT inhrelid FROM pg_inherits JOIN below ON inhparent = below.oid)
    SELECT n.nspname AS space, c.relname AS name, c.relispopulated AS filled, CASE relkind WHEN 'p' THEN '' ELSE 'ONLY' END AS only
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE (c.relkind IN ('r', 'm') OR c.oid IN (TABLE by_enum)) AND c.oid NOT IN (TABLE below)
      AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> $1
    ORDER BY n.nspname, c.relname`,
    [except],
  );
  const checksums = new Map<string, TableRows>();
  for (const { space, name, filled, only } of tables) {
    const table = `${escapeIdentifier(space)}.${escapeIdentifier(name)}`;
    const rows = filled ? await checksumRows(client, `${only} ${table}`) : { count: 0, checksum: 'not filled' };
    checksums.set(table, rows);
  }
  return checksums;
}

/**
 * Adds up the two halves of every row's MD5: equal for the same rows in any order, and a row that is there twice counts
 * twice. `ROW(t.*)`, because a plain `t` would be a column of that name where there is one.
 */
async function checksumRows(client: Client, table: string): Promise<TableRows> {
  const row = await one<{ count: string; checksum: string | null }>(
    client,
    `SELECT count(*) AS count, ${sumOfHalf(1)} || ',' || ${sumOfHalf(17)} AS checksum
     FROM (SELECT md5(ROW(t.*)::text) AS hash FROM ${table} AS t) AS hashes`,
  );
  return { count: Number(row.count), checksum: row.checksum ?? 'none' };
}

function sumOfHalf(start: 1 | 17): string {
  return `sum(('x' || substr(hash, ${start}, 16))::bit(64)::bigint::numeric)`;
}

async function readSequences(client: Client, except: string): Promise<Map<string, string>> {
  const { rows } = await client.query<{ space: string; name: string }>(
    'SELECT schemaname AS space, sequencename AS name FROM pg_sequences WHERE schemaname <> $1 ORDER BY 1, 2',
    [except],
  );
  const values = new Map<string, string>();
  for (const { space, name } of rows) {
    const sequence = `${escapeIdentifier(space)}.${escapeIdentifier(name)}`;
    const state = await one<{ value: string; called: boolean }>(
      client,
      `SELECT last_value AS value, is_called AS called FROM ${sequence}`,
    );
    values.set(sequence, `${state.value}, ${state.called ? 'used' : 'not used'}`);
  }
  return values;
}

async function checksumLargeObjects(client: Client): Promise<Map<string, string>> {
  const { rows } = await client.query<{ oid: string; state: string }>(`
    SELECT oid::text AS oid, concat_ws(' ', length(lo_get(oid)), 'bytes', md5(lo_get(oid)), 'of', lomowner::regrole,
      (SELECT string_agg(item::text, ',' ORDER BY item::text) FROM unnest(lomacl) AS item)) AS state
    FROM pg_largeobject_metadata ORDER BY oid`);
  return new Map(rows.map(({ oid, state }) => [oid, state]));
}

/** Those of PostgreSQL 15 that name objects of one database; an older server has no schemas in publications. */
const catalogs = `am amop amproc attrdef cast class collation constraint conversion default_acl event_trigger extension
  foreign_data_wrapper foreign_server language namespace opclass operator opfamily policy proc publication
  publication_namespace publication_rel rewrite statistic_ext transform trigger ts_config ts_dict ts_parser ts_template type
  user_mapping`.split(/\s+/);

/** Left out: what initdb made, and what has a number of this very database in its name. */
const nameless: Readonly<Record<string, string>> = {
  // There from the start, or made anew: the dump tells what is special about it.
  namespace: "nspname <> 'public'",
  class: "relnamespace <> 'pg_toast'::regnamespace",
  type: "typnamespace <> 'pg_toast'::regnamespace", // up to PostgreSQL 13
  trigger: 'NOT tgisinternal',
};

async function listObjects(client: Client, except: string): Promise<Map<string, string>> {
  const { rows: existing } = await client.query<{ name: string }>(
    `SELECT substr(relname, 4) AS name FROM pg_class WHERE oid < 16384 AND relname = ANY ($1)`,
    [catalogs.map((name) => `pg_${name}`)],
  );
  const listed = existing.map(
    ({ name }) => `SELECT 'pg_${name}'::regclass AS catalog, oid FROM pg_${name}
      WHERE oid >= 16384 AND ${nameless[name] ?? 'true'}`,
  );
  const { rows } = await client.query<{ object: string; state: string }>(
    `SELECT what.type || ' ' || what.identity AS object,
       concat_ws(', ', 'there', CASE WHEN NOT indisvalid THEN 'not valid' END, 'comment: ' || quote_literal(description)) AS state
     FROM (${listed.join(' UNION ALL ')}) AS listed CROSS JOIN pg_identify_object(catalog, listed.oid, 0) AS what
       LEFT JOIN pg_index ON catalog = 'pg_class'::regclass AND indexrelid = listed.oid
       LEFT JOIN pg_description ON classoid = catalog AND objoid = listed.oid AND objsubid = 0
     WHERE $1 = '' OR what.identity !~ ('\\m' || $1 || '(\\.|$)')
     ORDER BY 1`,
    [except],
  );
  return new Map(rows.map(({ object, state }) => [object, state]));
}

async function readSettings(client: Client): Promise<Map<string, string>> {
  const { rows } = await client.query<{ name: string; value: string }>(`
    SELECT key AS name, CASE key WHEN 'encoding' THEN pg_encoding_to_char(value::int) ELSE value END AS value
    FROM pg_database AS d, jsonb_each_text(to_jsonb(d))
    WHERE datname = current_database() AND key IN ('encoding', 'datcollate', 'datctype', 'datlocprovider', 'daticulocale', 'datlocale')
      AND value IS NOT NULL`);
  return new Map(rows.map(({ name, value }) => [name, value]));
}

async function one<Row extends QueryResultRow>(client: Client, sql: string): Promise<Row> {
  const [row] = (await client.query<Row>(sql)).rows;
  if (row === undefined) throw new Error(`no row from: ${sql}`);
  return row;
}
