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
  `^COPY (${identifier}\\.${identifier}) \\(${identifier}(?:, ${identifier})*\\) FROM stdin;$`,
);
const encodingLine = /^SET client_encoding = '[A-Za-z0-9_]+';$/;
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
}

/**
 * A data script as it is, or what is chosen of it. Fails with `integrity` for anything that `create` does not write: psql
 * would run it, commands of the shell included. Ends only after the last line.
 */
export async function* readDataScript(script: ByteStream, choice: DataScriptChoice = {}): ByteStream {
  const reader = new DataScriptReader(choice);
  for await (const chunk of script) yield* reader.read(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
  reader.finish();
}

class DataScriptReader {
  readonly #wanted: ReadonlySet<string> | null;
  readonly #frozen: ReadonlySet<string>;
  #state: 'lines' | 'rows' | 'complete' = 'lines';
  /** The beginning of a line that has not come yet, or of a row of which it cannot be said yet whether it is one. */
  #held: Buffer = Buffer.alloc(0);
  #isAtRowStart = false;
  #isWanted = true;

  constructor({ wanted = null, frozen = new Set() }: DataScriptChoice) {
    this.#wanted = wanted;
    this.#frozen = frozen;
  }

  *read(chunk: Buffer): Generator<Uint8Array> {
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
  }

  /** Returns what is left; the same when more bytes are needed. */
  *#readLine(bytes: Buffer): Generator<Uint8Array, Buffer> {
    const end = bytes.indexOf(newline);
    if (end === -1) {
      if (bytes.byteLength > maxLineBytes) throw foreign('a line is too long');
      return bytes;
    }
    const line = bytes.toString('latin1', 0, end);
    if (this.#state === 'complete') throw foreign('something follows its last line');
    const entered = this.#enter(line);
    if (entered === line) yield bytes.subarray(0, end + 1);
    else if (entered !== null) yield Buffer.from(`${entered}\n`, 'latin1');
    return bytes.subarray(end + 1);
  }

  /** Goes to the state after a line outside of rows; gives what is to take its place, `null` for nothing. */
  #enter(line: string): string | null {
    const [, table] = copyLine.exec(line) ?? [];
    if (table !== undefined) {
      this.#state = 'rows';
      this.#isAtRowStart = true;
      this.#isWanted = this.#wanted === null || this.#wanted.has(table);
      if (!this.#isWanted) return null;
      return this.#frozen.has(table) ? toFrozenCopy(table, line) : line;
    }
    if (line === dataScriptLastLine) {
      this.#state = 'complete';
    } else if (!preambleLines.has(line) && !encodingLine.test(line) && !commentLine.test(line)) {
      throw foreign('a line of it is none that a backup writes');
    }
    return line;
  }

  *#readRows(bytes: Buffer): Generator<Uint8Array, Buffer> {
    const isAtMark = this.#isAtRowStart && bytes.subarray(0, endMark.byteLength).equals(endMark);
    const end = isAtMark ? 0 : bytes.indexOf(endMarkInRows) + 1;
    if (!isAtMark && end === 0) return yield* this.#passRows(bytes);
    if (end > 0) yield* this.#passRows(bytes.subarray(0, end));
    this.#isAtRowStart = true;
    const mark = bytes.subarray(end);
    if (mark.byteLength < 3) return end === 0 ? bytes : mark;
    if (mark[2] !== newline) throw foreign('a row begins with an end mark');
    if (this.#isWanted) yield mark.subarray(0, 3);
    this.#state = 'lines';
    return mark.subarray(3);
  }

  /** Passes rows on, but for a last byte or two that may be the beginning of the end mark. */
  *#passRows(bytes: Buffer): Generator<Uint8Array, Buffer> {
    if (this.#isAtRowStart && bytes.byteLength === 1 && bytes[0] === endMark[0]) return bytes;
    const endsInMark = bytes.at(-1) === endMark[0] && bytes.at(-2) === newline;
    const end = endsInMark ? bytes.byteLength - 1 : bytes.byteLength;
    this.#isAtRowStart = bytes[end - 1] === newline;
    if (this.#isWanted) yield bytes.subarray(0, end);
    return bytes.subarray(end);
  }
}

/** Rows can be frozen only in a table that the same transaction has made or emptied (manual, "COPY"). */
function toFrozenCopy(table: string, line: string): string {
  return `TRUNCATE ONLY ${table};\n${line.slice(0, -1)} WITH (FREEZE);`;
}

function foreign(reason: string): BackupError {
  return new BackupError('integrity', `the script of rows is damaged: ${reason}`, {
    hint: 'Restore another backup, and find out who or what changed this one.',
  });
}
