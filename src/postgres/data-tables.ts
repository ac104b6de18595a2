import { BackupError } from '../core/backup-error.ts';
import type { TableName, Snapshot } from './snapshot.ts';
import type { Row } from './session.ts';
import type { DataTable } from './stream-plan.ts';

/** Ranges of blocks are read without the blocks before them from here on. */
const firstVersionWithRangeScan = 140_000;

interface TableRow extends Row {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly columns: readonly string[];
}

interface SizeRow extends Row {
  readonly oid: number;
  readonly blocks: number;
  readonly sizeBytes: number;
  readonly indexBytes: number;
  readonly isHeap: boolean;
  readonly isSameFile: boolean;
}

/**
 * Ordinary tables, as the snapshot sees them; of those of an extension pg_dump alone knows which rows are wanted. Below a
 * table that is partitioned by the hash of an enum, which is that of an OID, rows belong into other partitions when they
 * are restored: pg_dump has them go through the table on top, and finds such tables in this way, too.
 */
const tablesSql = `
  WITH RECURSIVE rerouted AS (
    SELECT partrelid AS oid FROM pg_partitioned_table WHERE EXISTS (
      SELECT FROM pg_opclass JOIN pg_am ON pg_am.oid = opcmethod
      WHERE pg_opclass.oid = ANY(partclass) AND amname = 'hash' AND opcname = 'enum_ops'
        AND opcnamespace = 'pg_catalog'::regnamespace)
    UNION SELECT inhrelid FROM pg_inherits JOIN rerouted ON inhparent = rerouted.oid)
  SELECT c.oid::int8::float8 AS oid, n.nspname AS schema, c.relname AS name,
    ARRAY(SELECT attname::text FROM pg_attribute
          WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum) AS columns
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
  WHERE c.oid = ANY($1::oid[]) AND c.relkind = 'r' AND c.oid NOT IN (SELECT oid FROM rerouted) AND NOT EXISTS (
    SELECT FROM pg_depend WHERE deptype = 'e' AND classid = 'pg_class'::regclass AND objid = c.oid)`;

/** The functions see the tables as they are now; the catalog is that of the snapshot. */
const sizesSql = `
  SELECT c.oid::int8::float8 AS oid,
    pg_relation_size(c.oid)::float8 / current_setting('block_size')::int AS blocks,
    pg_table_size(c.oid)::float8 AS "sizeBytes",
    pg_indexes_size(c.oid)::float8 AS "indexBytes",
    EXISTS (SELECT FROM pg_am WHERE pg_am.oid = c.relam AND amname = 'heap') AS "isHeap",
    to_regclass(format('%I.%I', n.nspname, c.relname))::oid = c.oid
      AND pg_relation_filenode(c.oid) = c.relfilenode AS "isSameFile"
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
  WHERE c.oid = ANY($1::oid[])`;

/** Of an archive's table of contents, as `pg_restore --list` prints it: the OIDs of the tables whose rows it has. */
export function dataTableOids(contents: string): number[] {
  return [...contents.matchAll(/^\d+; \d+ (\d+) TABLE DATA /gm)].map(([, oid]) => Number(oid));
}

export interface FindDataTablesOptions {
  /** `server_version_num`. */
  readonly versionNum: number;
  /** Of the database: pg_dump cannot be given names that its arguments cannot carry. */
  readonly encoding: string;
  /** For the locks, as `lock_timeout` takes it. */
  readonly lockTimeout?: string | undefined;
}

/**
 * Of the tables with these OIDs, those whose rows plain COPY takes as pg_dump would, locked against changes. Errors:
 * `postgres`, for a table that was dropped or rewritten since the snapshot, or is locked by another session.
 */
export async function findDataTables(
  oids: readonly number[],
  snapshot: Snapshot,
  options: FindDataTablesOptions,
): Promise<readonly DataTable[]> {
  const found = await snapshot.session.query<TableRow>(tablesSql, [oids]);
  const tables = found.filter((table) => options.encoding === 'UTF8' || hasAsciiNames(table));
  await snapshot.lockTables(tables, options.lockTimeout);
  const sizes = await snapshot.session.query<SizeRow>(sizesSql, [tables.map(({ oid }) => oid)]);
  const sizeOf = new Map(sizes.map((size) => [size.oid, size]));
  return tables.map(({ oid, schema, name, columns }) => {
    const size = sizeOf.get(oid);
    if (size?.isSameFile !== true) throw wasChanged({ schema, name });
    const canSplit = size.isHeap && options.versionNum >= firstVersionWithRangeScan;
    const { blocks, sizeBytes, indexBytes } = size;
    return { oid, schema, name, columns, blocks, sizeBytes, indexBytes, canSplit };
  });
}

/** Server encodings are supersets of ASCII. */
function hasAsciiNames({ schema, name, columns }: TableRow): boolean {
  return [schema, name, ...columns].every((text) => /^[\x20-\x7e]*$/.test(text));
}

function wasChanged({ schema, name }: TableName): BackupError {
  return new BackupError('postgres', `table "${schema}.${name}" was rewritten or replaced while the backup began`, {
    hint: 'Run the backup again.',
  });
}
