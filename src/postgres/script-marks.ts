import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';

/** How far psql got with a script, as told by the marks that the script made it print. */
export interface ScriptMarks {
  /** Numbers of the transactions that were open at the start and at the end of the script. */
  readonly startTransaction: string | undefined;
  readonly endTransaction: string | undefined;
  /** The last statement was reached, after COMMIT. */
  readonly isDone: boolean;
}

/** Longer lines are no marks. */
const maxLineChars = 4096;

/** SQL for the start of a script: opens the transaction and prints its number. */
export function openingSql(nonce: string): string {
  return `BEGIN;\nSELECT '${nonce} start ' || pg_catalog.txid_current();\n`;
}

/** SQL for the end of a script: prints the number of the transaction now open, and commits it. */
export function closingSql(nonce: string): string {
  return `\nSELECT '${nonce} end ' || pg_catalog.txid_current();\nCOMMIT;\n`;
}

/** SQL that proves that psql got this far. */
export function doneSql(nonce: string): string {
  return `\nSELECT '${nonce} done';\n`;
}

/** Reads psql's output to its end. `nonce` is what no script can print by chance. */
export async function readMarks(output: Readable, nonce: string): Promise<ScriptMarks> {
  const values = new Map<string, string>();
  let line = '';
  output.setEncoding('utf8');
  output.on('data', (text: string) => {
    const lines = (line + text).split('\n');
    line = lines.pop()?.slice(0, maxLineChars) ?? '';
    for (const [prefix, name, value] of lines.map((whole) => whole.split(' '))) {
      if (prefix === nonce && name !== undefined) values.set(name, value ?? '');
    }
  });
  await finished(output).catch(() => {});
  return { startTransaction: values.get('start'), endTransaction: values.get('end'), isDone: values.has('done') };
}
