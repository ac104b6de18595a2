import { randomBytes } from 'node:crypto';
import { BackupError, describeError } from '../core/backup-error.ts';
import { streamOf, type ByteStream } from '../core/byte-stream.ts';
import { startClientProcess } from './client-process.ts';
import type { ClientTool } from './client-tools.ts';
import type { Connection } from './connection.ts';
import { CommitWatch } from './commit-watch.ts';
import { feedClient } from './feed-client.ts';
import { noTimeLimits, setKnownSettings } from './known-settings.ts';
import { closingSql, doneSql, openingSql, readMarks, type ScriptMarks } from './script-marks.ts';
import { demandLastLine, withoutTransactionTimeout } from './script-stages.ts';
import { hasSucceeded, toToolFailure } from './tool-failure.ts';

export interface PsqlRun {
  readonly tool: ClientTool;
  readonly connection: Connection;
  readonly signal?: AbortSignal | undefined;
  /** Between SIGTERM and SIGKILL; 5 seconds by default. */
  readonly graceMs?: number | undefined;
}

export interface ScriptRestore extends PsqlRun {
  /** Major version of the server restored to: scripts of pg_dump 17 and newer are changed for older servers. */
  readonly serverMajor: number;
  /** SQL to run first, in the same transaction. */
  readonly prologue?: string | undefined;
  /** Take a script that does not end as pg_dump's scripts end. Nothing then tells whether it is whole. */
  readonly allowForeignScript?: boolean | undefined;
}

export interface ScriptReport {
  readonly warnings: readonly string[];
  /**
   * The script itself committed on its way - pg_dump's scripts do around large objects - so that the restore was not
   * one transaction. It is complete all the same.
   */
  readonly committedEarly: boolean;
}

/**
 * Runs a plain dump through psql in one transaction. psql's own `--single-transaction` commits at the end of its input,
 * also when that end is our own death; so BEGIN is sent before the script, and COMMIT only after the source has ended
 * well, and success is the answer to a query sent after that. Whatever ends psql or us before that rolls back, except
 * for what a COMMIT in the script itself has committed (see `committedEarly`; the message of an error says so, too).
 *
 * Errors: what the source throws; the signal's reason; `integrity` (the script is cut off); `postgres` with what psql
 * said.
 */
export async function restoreScript(restore: ScriptRestore, source: ByteStream): Promise<ScriptReport> {
  const nonce = createNonce();
  const watch = new CommitWatch();
  const whole = restore.allowForeignScript === true ? source : demandLastLine(source);
  const body = watch.watch(withoutTransactionTimeout(whole, restore.serverMajor));
  try {
    const { marks, warnings } = await runScript(restore, nonce, inTransaction(body, restore.prologue ?? '', nonce));
    return { warnings, committedEarly: marks.startTransaction !== marks.endTransaction };
  } catch (error) {
    throw watch.hasSeenCommit && restore.signal?.aborted !== true ? toPartlyCommitted(error) : error;
  }
}

/** What marks the end of one script, and cannot be in it by chance. */
export function createNonce(): string {
  return randomBytes(16).toString('hex');
}

/**
 * Runs a script through psql, and fails unless psql gets past its end. What ends psql before cancels its query: the server
 * would go on with an index, and keep its locks.
 */
export async function runScript(
  run: PsqlRun,
  nonce: string,
  script: ByteStream,
): Promise<{ readonly marks: ScriptMarks; readonly warnings: readonly string[] }> {
  const { tool, connection, signal, graceMs } = run;
  const ending = { signal, graceMs, interruptFirst: true };
  const client = startClientProcess(tool, { args: psqlArgs, connection, withStdin: true, ...ending });
  try {
    const marks = readMarks(client.stdout, nonce);
    const fed = await feedClient(client, untilDone(script, nonce), { signal, onEarlyEnd: 'return' });
    if (fed === 'all') client.stdin.end();
    const exit = await client.exited;
    if (!hasSucceeded(exit)) {
      signal?.throwIfAborted();
      throw toToolFailure(client, exit);
    }
    const seen = await marks;
    if (!seen.isDone) throw cutOff();
    return { marks: seen, warnings: client.stderr.warnings };
  } finally {
    await client.terminate();
  }
}

/** Runs what stdin says, and nothing else; the first error ends it. */
export const psqlArgs: readonly string[] = [
  '--no-psqlrc',
  '--no-password',
  '--quiet',
  '--no-align',
  '--tuples-only',
  '--set=ON_ERROR_STOP=1',
  '--file=-',
];

async function* inTransaction(script: ByteStream, prologue: string, nonce: string): ByteStream {
  yield* streamOf(openingSql(nonce), prologue);
  yield* script;
  yield* streamOf(closingSql(nonce));
}

/** The script sets no limits of time itself before it comes, and psql may wait for it. */
async function* untilDone(script: ByteStream, nonce: string): ByteStream {
  yield* streamOf(`${setKnownSettings(noTimeLimits)};\n`);
  yield* script;
  yield* streamOf(doneSql(nonce));
}

/** An unfinished statement or COPY at the end of the script has swallowed what we sent after it. */
function cutOff(): BackupError {
  return new BackupError('integrity', 'psql did not get to the end of the script: it is cut off inside a statement', {
    hint: 'Restore another backup.',
  });
}

function toPartlyCommitted(error: unknown): BackupError {
  const [kind, hint] = error instanceof BackupError ? [error.kind, error.hint] : (['postgres', undefined] as const);
  const message = `${describeError(error)} (the script contains COMMIT: a part of it may be in the database)`;
  return new BackupError(kind, message, { hint, cause: error });
}
