import type { ClientTool } from './client-tools.ts';
import type { Connection } from './connection.ts';
import type { CompletionCheck } from './dump-completion.ts';
import { dataScriptLastLine, dataScriptPreamble, dataScriptRowsMark, tableInScript } from './data-script.ts';
import { startDump, type DumpProcess, type StartDumpOptions } from './dump-process.ts';
import { noTimeLimits, setKnownSettings } from './known-settings.ts';
import { psqlArgs } from './psql.ts';
import { quoteIdentifierInAscii } from './quote.ts';
import type { StreamUnit, TablePart } from './stream-plan.ts';

export interface CopyOutRun {
  /** psql. */
  readonly tool: ClientTool;
  readonly connection: Connection;
  readonly snapshotId: string;
  readonly unit: StreamUnit;
  /** Encoding of the database, which is that of the script. */
  readonly encoding: string;
  /** As pg_dump's `--extra-float-digits`. */
  readonly extraFloatDigits?: number | undefined;
  /** For the locks of its tables, as `lock_timeout` takes it. */
  readonly lockTimeout: string;
}

export interface CopyOutProcess extends DumpProcess {
  /** Rows of each part of the unit, once `output` has ended; `null` where the server does not count them. */
  rows(): readonly (number | null)[];
}

/**
 * Copies the rows of a unit out through psql, as a script for psql: what pg_dump cannot do, parts of a table, with the
 * settings pg_dump uses. Names are in ASCII, rows in the encoding of the database.
 */
export function startCopyOut(run: CopyOutRun, options: StartDumpOptions = {}): CopyOutProcess {
  const { tool, connection, unit } = run;
  const check = new DataScriptCheck(unit.parts);
  const dump = startDump(
    { tool, args: psqlArgs, connection, input: copyOutSql(run), check, interruptFirst: true },
    options,
  );
  return {
    output: dump.output,
    get warnings() {
      return dump.warnings;
    },
    rows: () => check.rows(),
    [Symbol.asyncDispose]: async () => await dump[Symbol.asyncDispose](),
  };
}

/** What a role or a database may have set otherwise, as pg_dump sets it. */
function sessionSettings({ extraFloatDigits, lockTimeout }: CopyOutRun): readonly (readonly [string, string])[] {
  return [
    ['search_path', ''],
    ['DateStyle', 'ISO'],
    ['IntervalStyle', 'postgres'],
    ['bytea_output', 'hex'],
    ['extra_float_digits', String(extraFloatDigits ?? defaultExtraFloatDigits)],
    ['synchronize_seqscans', 'off'],
    ['row_security', 'off'],
    ...noTimeLimits.filter(([name]) => name !== 'lock_timeout'),
    ['lock_timeout', lockTimeout],
    // A range of blocks is read by itself, and the count of rows is then that of the range.
    ['enable_tidscan', 'on'],
    ['enable_seqscan', 'off'],
    // One process for one stream, and its count of rows is then the whole one.
    ['max_parallel_workers_per_gather', '0'],
  ];
}

const defaultExtraFloatDigits = 3;

/**
 * What psql is given: the snapshot, settings, and for each part what the script needs around its rows. What can be said
 * in one message is, and psql itself prints what needs no server, for a server may be far away.
 */
export function copyOutSql(run: CopyOutRun): string {
  const { unit, snapshotId, encoding } = run;
  const names = [...new Set(unit.parts.map((part) => `ONLY ${tableInScript(part.table)}`))];
  const opening = [
    'BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY',
    `SET TRANSACTION SNAPSHOT '${snapshotId}'`,
    setKnownSettings(sessionSettings(run)),
    `SET client_encoding = '${encoding}'`,
    `LOCK TABLE ${names.join(', ')} IN ACCESS SHARE MODE`,
  ];
  const counts = unit.parts.map((_, index) => ` :rows_${index}`).join('');
  return [
    `${opening.join(' \\;\n')} \\g /dev/null`,
    print(dataScriptPreamble(encoding)),
    ...unit.parts.flatMap(copyPart),
    `${print(dataScriptRowsMark)}${counts}`,
    print(dataScriptLastLine),
    'COMMIT;\n',
  ].join('\n');
}

/** Takes the place of a count of rows. */
const notThisTable = 'another';

/**
 * A lock keeps a table, but not the schema that it is found in. And the server counts the rows that a scan gives, for each
 * table and transaction: that is up to the access method, and of others than its own nobody knows.
 */
function copyPart(part: TablePart, index: number, parts: readonly TablePart[]): string[] {
  const name = tableInScript(part.table);
  const columns = part.table.columns.map(quoteIdentifierInAscii).join(', ');
  const source =
    part.blocks === null ? `${name} (${columns})` : `(SELECT ${columns} FROM ONLY ${name} WHERE ${range(part)})`;
  const next = parts[index + 1];
  return [
    ...(index === 0 ? [`SELECT ${hasItsName(part)} AS is_there \\gset`] : []),
    '\\if :is_there',
    print(`COPY ${name} (${columns}) FROM stdin;`),
    `COPY ${source} TO STDOUT;`,
    `SELECT CASE WHEN pg_catalog.current_setting('track_counts')::pg_catalog.bool AND EXISTS (SELECT`,
    `FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_am AS a ON a.oid = c.relam`,
    `WHERE c.oid = ${part.table.oid} AND a.amname = 'heap')`,
    `THEN pg_catalog.pg_stat_get_xact_tuples_returned(${part.table.oid})::pg_catalog.text`,
    // With the next question: a server may be far away.
    `ELSE '?' END AS rows_${index}${next === undefined ? '' : `, ${hasItsName(next)} AS is_there`} \\gset`,
    print('\\.\n'),
    '\\else',
    `\\set rows_${index} ${notThisTable}`,
    '\\endif',
  ];
}

/** Whether the name that the table has in the snapshot leads to it now: COPY takes what has the name now. */
function hasItsName({ table }: TablePart): string {
  const found = `pg_catalog.to_regclass(pg_catalog.format('%I.%I', n.nspname, c.relname))::pg_catalog.oid`;
  const catalog = 'pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace';
  return `(SELECT ${found} IS NOT DISTINCT FROM c.oid FROM ${catalog} WHERE c.oid = ${table.oid})`;
}

function range({ blocks }: TablePart): string {
  const { start, end } = blocks ?? { start: 0, end: null };
  const from = `ctid >= '(${start},0)'::pg_catalog.tid`;
  return end === null ? from : `${from} AND ctid < '(${end},0)'::pg_catalog.tid`;
}

/** A command that makes psql print a line. In single quotes it looks for escapes, and not for variables. */
function print(text: string): string {
  return `\\qecho '${text.replaceAll('\\', '\\\\').replaceAll("'", "''").replaceAll('\n', '\\n')}'`;
}

/** Enough for the counts of all parts of a unit. */
const tailBytes = 16 * 1024;

/** Looks for the last line of a data script, and reads the counts in front of it. */
class DataScriptCheck implements CompletionCheck {
  readonly #parts: readonly TablePart[];
  #tail = Buffer.alloc(0);

  constructor(parts: readonly TablePart[]) {
    this.#parts = parts;
  }

  add(chunk: Uint8Array): void {
    if (chunk.byteLength >= tailBytes) this.#tail = Buffer.from(chunk.subarray(-tailBytes));
    else this.#tail = Buffer.concat([this.#tail, chunk]).subarray(-tailBytes);
  }

  problem(): string | null {
    if (this.#tail.byteLength === 0) return 'wrote nothing';
    const isWhole = this.#tail.toString('latin1').endsWith(`\n${dataScriptLastLine}\n`);
    if (!isWhole) return 'wrote a script without its last line';
    const lost = this.#parts[this.#counts().indexOf(notThisTable)];
    if (lost === undefined) return null;
    return `found another table, or none, under the name ${tableInScript(lost.table)}: its schema was renamed`;
  }

  rows(): readonly (number | null)[] {
    const counts = this.#counts();
    return this.#parts.map((_, index) => (/^\d+$/.test(counts[index] ?? '') ? Number(counts[index]) : null));
  }

  #counts(): readonly string[] {
    const text = this.#tail.toString('latin1');
    const line = text.slice(
      text.lastIndexOf(dataScriptRowsMark) + dataScriptRowsMark.length,
      text.lastIndexOf(dataScriptLastLine),
    );
    return line.trim().split(' ');
  }
}
