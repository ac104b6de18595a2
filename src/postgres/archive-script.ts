import { streamOf, type ByteStream } from '../core/byte-stream.ts';
import { startClientProcess, type ClientProcess } from './client-process.ts';
import type { ClientTool } from './client-tools.ts';
import { feedClient } from './feed-client.ts';
import { createNonce, runScript } from './psql.ts';
import { chooseEntries, type ArchiveRestore } from './pg-restore.ts';
import { holdBackTail, scriptTailBytes, withoutTransactionTimeout } from './script-stages.ts';
import { hasSucceeded, toToolFailure } from './tool-failure.ts';

export interface ArchiveScriptRestore extends Omit<ArchiveRestore, 'allowEarlyExit'> {
  readonly psql: ClientTool;
  /** Major version of the server restored to. */
  readonly serverMajor: number;
  /** SQL to run first, in the same transaction. */
  readonly prologue?: string | undefined;
}

/**
 * Whether `restoreArchive` would fail because pg_restore sets `transaction_timeout`, which it does from 17 on, on a
 * server that does not know it.
 */
export function needsScript(tool: ClientTool, serverMajor: number): boolean {
  return tool.major >= 17 && serverMajor < 17;
}

/**
 * Restores an archive by way of a script: pg_restore writes it, psql runs it, in one transaction. Slower than
 * `restoreArchive`, but it restores to servers older than pg_restore, and it sends COMMIT only after the whole source
 * was read, also when only a part of the archive is wanted. The same rules and errors hold otherwise.
 */
export async function restoreArchiveAsScript(
  restore: ArchiveScriptRestore,
  source: ByteStream,
): Promise<{ readonly warnings: readonly string[] }> {
  const { psql, signal, graceMs } = restore;
  const converterWarnings: string[] = [];
  const conversion = { ...restore, args: [...restore.args, '--single-transaction'] };
  const script = archiveToScript(conversion, source, converterWarnings);
  const run = { tool: psql, connection: restore.connection, signal, graceMs };
  const whole = after(restore.prologue ?? '', holdBackTail(script, scriptTailBytes));
  const { warnings } = await runScript(run, createNonce(), whole);
  return { warnings: [...converterWarnings, ...warnings] };
}

export interface Conversion extends Pick<ArchiveScriptRestore, 'tool' | 'args' | 'serverMajor' | 'signal' | 'graceMs'> {
  /** Only the entries with these ids; all by default. */
  readonly entries?: readonly number[] | undefined;
}

/**
 * The script that restores an archive, as pg_restore writes it; for servers older than pg_restore, too. Ends only when
 * the whole source was read and pg_restore exited with 0, whose warnings are then added to `warnings`.
 */
export async function* archiveToScript(
  { tool, args, serverMajor, entries, signal, graceMs }: Conversion,
  source: ByteStream,
  warnings: string[],
): ByteStream {
  const files = entries === undefined ? [] : [chooseEntries(entries)];
  const converter = startClientProcess(tool, { args: [...args, '--file=-'], files, withStdin: true, signal, graceMs });
  try {
    yield* withoutTransactionTimeout(readScript(converter, source, signal), serverMajor);
    warnings.push(...converter.stderr.warnings);
  } finally {
    await converter.terminate();
  }
}

/** The script's own BEGIN is harmless in a transaction that is open, and its settings come after it. */
async function* after(prologue: string, script: ByteStream): ByteStream {
  if (prologue !== '') yield* streamOf('BEGIN;\n', prologue, 'SET client_min_messages = error;\n');
  yield* script;
}

/** pg_restore's script; ends only when the whole source was read and pg_restore exited with 0. */
async function* readScript(converter: ClientProcess, source: ByteStream, signal: AbortSignal | undefined): ByteStream {
  const feeding = feed(converter, source, signal);
  // Looked at below; it may fail while the reader still works on what it has.
  feeding.catch(() => {});
  try {
    for await (const chunk of converter.stdout as AsyncIterable<Buffer>) yield chunk;
  } catch (error) {
    await feeding;
    throw error;
  }
  await feeding;
}

/** Ends the converter when the source fails, or its output would stay open for ever. */
async function feed(converter: ClientProcess, source: ByteStream, signal: AbortSignal | undefined): Promise<void> {
  try {
    await feedClient(converter, source, { signal, onEarlyEnd: 'drain' });
  } catch (error) {
    await converter.terminate();
    throw error;
  }
  converter.stdin.end();
  const exit = await converter.exited;
  if (!hasSucceeded(exit)) throw toToolFailure(converter, exit);
}
