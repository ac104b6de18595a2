import { BackupError } from '../core/backup-error.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import { quoteIdentifierInAscii } from './quote.ts';
import type { TableName } from './snapshot.ts';

/** What pg_dump sets where rows are restored. */
export const dataScriptPreamble = (encoding: string): string => `--
-- librelog-backup data
--
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = '${encoding}';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
`;

export const dataScriptLastLine = '-- librelog-backup data complete';
export const dataScriptRowsMark = '-- rows:';

/** `schema.table`, as it stands in a data script. */
export function tableInScript({ schema, name }: TableName): string {
  return `${quoteIdentifierInAscii(schema)}.${quoteIdentifierInAscii(name)}`;
}

/**
 * Lines that may stand outside of rows; no others. All in ASCII: in some client encodings the byte after another one is
 * a part of the same character, so that psql would not see a quote there.
 */
const identifier = String.raw`(?:U&)?"(?:[\x20-\x21\x23-\x7e]|"")+"`;
const copyLine = new RegExp(
  `^COPY ((${identifier}\\.${identifier}) \\(${identifier}(?:, ${identifier})*\\)) FROM stdin;$`,
);
const encodingLine = /^SET client_encoding = '([A-Za-z0-9_]+)';$/;
const commentLine = /^(?:--[\x20-\x7e]*)?$/;
const preambleLines: ReadonlySet<string> = new Set(dataScriptPreamble('').split('\n'));

/** Longer than the COPY of a table of 1,600 columns. */
const maxLineBytes = 4 * 1024 * 1024;
const newline = 0x0a;
/** A row never begins so: a backslash in it is written twice. */
const endMark = Buffer.from('\\.');
const endMarkInRows = Buffer.from('\n\\.');

/** What to make of a data script; tables are named as `tableInScript` does. */
export interface DataScriptChoice {
  /** Only the rows of these tables; `null`: all. */
  readonly wanted?: ReadonlySet<string> | null;
  /** Tables that have no other rows, in a transaction of the script's own: their rows are frozen as they are loaded. */
  readonly frozen?: ReadonlySet<string>;
  /** How many rows of each table it must have (`null`: nobody counted them), and of no others. Anything goes by default. */
  readonly rows?: ReadonlyMap<string, number | null>;
}

/** The beginning of the rows of a table. */
export interface CopyPiece {
  readonly kind: 'copy';
  /** As `tableInScript` names it. */
  readonly table: string;
  /** `"schema"."table" ("column", ...)`. */
  readonly target: string;
  /** The encoding of the rows. */
  readonly encoding: string;
  readonly isFrozen: boolean;
  /** How many rows there must be; `null`: not known. */
  readonly rows: number | null;
}

/** A part of a data script: a line outside of rows, or rows and what is around them. */
export type DataScriptPiece =
  | { readonly kind: 'line'; readonly text: string }
  | CopyPiece
  | { readonly kind: 'rows'; readonly bytes: Uint8Array }
  | { readonly kind: 'end' };

/**
 * A script for psql of the pieces of a data script, or of what is chosen of it. Fails with `integrity` where a table has
 * another number of rows than it must have.
 */
export async function* toDataScript(pieces: AsyncIterable<DataScriptPiece>): ByteStream {
  let copy: CopyPiece | undefined;
  let rows = 0;
  for await (const piece of pieces) {
    if (piece.kind === 'copy') {
      copy = piece;
      rows = 0;
    } else if (piece.kind === 'rows') {
      rows += countLines(piece.bytes);
    } else if (piece.kind === 'end' && copy !== undefined) {
      demandRows(copy, rows);
    }
    yield toScript(piece);
  }
}

/** A row is a line: in text format, a newline in a value is written in another way. */
function countLines(bytes: Uint8Array): number {
  let lines = 0;
  for (let at = bytes.indexOf(newline); at !== -1; at = bytes.indexOf(newline, at + 1)) lines += 1;
  return lines;
}

/** Fails with `integrity` unless the COPY has had as many rows as it must have. */
export function demandRows({ table, rows }: CopyPiece, found: number): void {
  if (rows === null || rows === found) return;
  throw new BackupError('integrity', `${found} rows of table ${table} came back, but ${rows} were backed up`, {
    hint: restoreAnother,
  });
}

function toScript(piece: DataScriptPiece): Uint8Array {
  switch (piece.kind) {
    case 'line':
      return Buffer.from(`${piece.text}\n`, 'latin1');
    case 'copy':
      return Buffer.from(piece.isFrozen ? frozenCopy(piece) : `COPY ${piece.target} FROM stdin;\n`, 'latin1');
    case 'rows':
      return piece.bytes;
    case 'end':
      return Buffer.from('\\.\n');
  }
}

function frozenCopy({ table, target }: CopyPiece): string {
  return `${emptied(table)};\nCOPY ${target} FROM stdin WITH (FREEZE);\n`;
}

/** Rows can be frozen only in a table that the same transaction has made or emptied (manual, "COPY"). */
export function emptied(table: string): string {
  return `TRUNCATE ONLY ${table}`;
}

/**
 * The pieces of a data script, or of what is chosen of it. Fails with `integrity` for anything that `create` does not
 * write: psql would run it, commands of the shell included. Ends only after the last line.
 */
export async function* readDataPieces(
  script: ByteStream,
  choice: DataScriptChoice = {},
): AsyncGenerator<DataScriptPiece> {
  const reader = new DataScriptReader(choice);
  for await (const chunk of script) yield* reader.read(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
  reader.finish();
}

class DataScriptReader {
  readonly #wanted: ReadonlySet<string> | null;
  readonly #frozen: ReadonlySet<string>;
  /** How many rows of each table that is to come; `null`: anything may come. */
  readonly #expected: Map<string, number | null> | null;
  #state: 'lines' | 'rows' | 'complete' = 'lines';
  /** The beginning of a line that has not come yet, or of a row of which it cannot be said yet whether it is one. */
  #held: Buffer = Buffer.alloc(0);
  #encoding: string | undefined;
  #isAtRowStart = false;
  #isWanted = true;

  constructor({ wanted = null, frozen = new Set(), rows }: DataScriptChoice) {
    this.#wanted = wanted;
    this.#frozen = frozen;
    this.#expected = rows === undefined ? null : new Map(rows);
  }

  *read(chunk: Buffer): Generator<DataScriptPiece> {
    let rest = this.#held.byteLength === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = Buffer.alloc(0);
    while (rest.byteLength > 0) {
      const before = rest;
      rest = this.#state === 'rows' ? yield* this.#readRows(rest) : yield* this.#readLine(rest);
      if (rest === before) break;
    }
    // A copy: the chunk belongs to its producer again.
    this.#held = Buffer.from(rest);
  }

  finish(): void {
    if (this.#state !== 'complete' || this.#held.byteLength > 0) throw foreign('it has no last line');
    const [missing] = this.#expected?.keys() ?? [];
    if (missing !== undefined) throw foreign(`it does not have the rows of table ${missing}`);
  }

  /** Returns what is left; the same when more bytes are needed. */
  *#readLine(bytes: Buffer): Generator<DataScriptPiece, Buffer> {
    const end = bytes.indexOf(newline);
    if (end === -1) {
      if (bytes.byteLength > maxLineBytes) throw foreign('a line is too long');
      return bytes;
    }
    if (this.#state === 'complete') throw foreign('something follows its last line');
    const piece = this.#enter(bytes.toString('latin1', 0, end));
    if (piece !== null) yield piece;
    return bytes.subarray(end + 1);
  }

  /** Goes to the state after a line outside of rows; gives what it is, `null` where nobody wants it. */
  #enter(line: string): DataScriptPiece | null {
    const copy = copyLine.exec(line);
    if (copy !== null) return this.#enterRows(copy);
    const [, encoding] = encodingLine.exec(line) ?? [];
    if (encoding !== undefined) this.#encoding = encoding;
    else if (line === dataScriptLastLine) this.#state = 'complete';
    else if (!preambleLines.has(line) && !commentLine.test(line)) {
      throw foreign('a line of it is none that a backup writes');
    }
    return { kind: 'line', text: line };
  }

  #enterRows([, target = '', table = '']: RegExpExecArray): CopyPiece | null {
    if (this.#encoding === undefined) throw foreign('it does not say the encoding of its rows');
    this.#state = 'rows';
    this.#isAtRowStart = true;
    const rows = this.#expected?.get(table) ?? null;
    if (this.#expected?.delete(table) === false) throw foreign(`it has rows of table ${table} that it should not have`);
    this.#isWanted = this.#wanted === null || this.#wanted.has(table);
    if (!this.#isWanted) return null;
    return { kind: 'copy', table, target, encoding: this.#encoding, isFrozen: this.#frozen.has(table), rows };
  }

  *#readRows(bytes: Buffer): Generator<DataScriptPiece, Buffer> {
    const isAtMark = this.#isAtRowStart && bytes.subarray(0, endMark.byteLength).equals(endMark);
    const end = isAtMark ? 0 : bytes.indexOf(endMarkInRows) + 1;
    if (!isAtMark && end === 0) return yield* this.#passRows(bytes);
    if (end > 0) yield* this.#passRows(bytes.subarray(0, end));
    this.#isAtRowStart = true;
    const mark = bytes.subarray(end);
    if (mark.byteLength < 3) return end === 0 ? bytes : mark;
    if (mark[2] !== newline) throw foreign('a row begins with an end mark');
    if (this.#isWanted) yield { kind: 'end' };
    this.#state = 'lines';
    return mark.subarray(3);
  }

  /** Passes rows on, but for a last byte or two that may be the beginning of the end mark. */
  *#passRows(bytes: Buffer): Generator<DataScriptPiece, Buffer> {
    if (this.#isAtRowStart && bytes.byteLength === 1 && bytes[0] === endMark[0]) return bytes;
    const endsInMark = bytes.at(-1) === endMark[0] && bytes.at(-2) === newline;
    const end = endsInMark ? bytes.byteLength - 1 : bytes.byteLength;
    this.#isAtRowStart = bytes[end - 1] === newline;
    if (this.#isWanted) yield { kind: 'rows', bytes: bytes.subarray(0, end) };
    return bytes.subarray(end);
  }
}

const restoreAnother = 'Restore another backup, and find out who or what changed this one.';

function foreign(reason: string): BackupError {
  return new BackupError('integrity', `the script of rows is damaged: ${reason}`, { hint: restoreAnother });
}
