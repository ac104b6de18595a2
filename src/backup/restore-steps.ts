import { streamOf, type ByteStream } from '../core/byte-stream.ts';
import { Meter } from '../pipeline/meter.ts';
import { runPipeline, type StallGuard } from '../pipeline/run-pipeline.ts';
import { archiveToScript, needsScript } from '../postgres/archive-script.ts';
import type { ClientTool } from '../postgres/client-tools.ts';
import { restorePostData } from '../postgres/pg-restore.ts';
import { restoreScript } from '../postgres/psql.ts';
import { planPgRestore } from '../postgres/restore-plan.ts';
import { withoutTransaction } from '../postgres/script-stages.ts';
import { findPgRestore, findPsql, type RestoreRun } from './restore-run.ts';
import { warnAll } from './use-case-context.ts';

export interface ParallelRun extends RestoreRun {
  readonly jobs: number;
}

/** What is to be done when all rows are there. */
export interface RestToRestore {
  /** Custom archive, or its beginning, with what comes after the rows. */
  readonly archive: Uint8Array;
  /** Those of its entries that are not restored yet; all of them by default. */
  readonly entries?: readonly number[];
}

interface Script {
  readonly run: ParallelRun;
  readonly psql: ClientTool;
  /** Where the script comes from, for messages. */
  readonly what: string;
}

/** Runs one script in one transaction of its own. */
export async function runOneScript(
  { run, psql, what }: Script,
  signal: AbortSignal,
  open: (signal: AbortSignal) => ByteStream,
): Promise<void> {
  const { target, server, context } = run;
  const meter = new Meter();
  const stall = stallOf(run, meter, what);
  const restore = { tool: psql, connection: target.connection, serverMajor: server.major, allowForeignScript: true };
  const { warnings } = await runPipeline({ signal, stall }, async (signal) => {
    return await restoreScript({ ...restore, signal }, run.meter.count(meter.count(open(signal))));
  });
  warnAll(context, warnings);
}

export function stallOf({ target }: RestoreRun, meter: Meter, what: string): StallGuard {
  return { meter, timeoutMs: target.stallTimeoutMs, what: `"${what}"` };
}

/** Indexes, constraints, triggers: what comes after the rows. */
export async function restoreRest(
  { archive: head, entries }: RestToRestore,
  run: ParallelRun,
  signal: AbortSignal,
): Promise<void> {
  const { archive, target, server, context, jobs } = run;
  const tool = await findPgRestore(run);
  const { connection } = target;
  const { args } = planPgRestore(target.options);
  if (!needsScript(tool, server.major)) {
    const { warnings } = await restorePostData({ tool, args, connection, jobs, entries, signal }, head);
    warnAll(context, warnings);
    return;
  }
  const psql = await findPsql(target, server, context);
  await runOneScript({ run, psql, what: archive.name }, signal, (signal) => {
    const scriptArgs = [...args, '--section=post-data', '--single-transaction'];
    const conversion = { tool, args: scriptArgs, serverMajor: server.major, entries, signal };
    return withoutTransaction(archiveToScript(conversion, streamOf(head), []));
  });
}
