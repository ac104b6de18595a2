import type { ByteStream } from '../core/byte-stream.ts';
import { fork } from '../pipeline/fan-out.ts';
import { runPipeline } from '../pipeline/run-pipeline.ts';
import { needsScript, restoreArchiveAsScript } from '../postgres/archive-script.ts';
import { listArchive, restoreArchive } from '../postgres/pg-restore.ts';
import { planPgRestore } from '../postgres/restore-plan.ts';
import { restoreMarked } from './restore-marked.ts';
import { findPgRestore, findPsql, type RestoreRun } from './restore-run.ts';
import { restoreRest, type ParallelRun } from './restore-steps.ts';
import { restoreStreamRows } from './restore-stream-rows.ts';
import { warnAll } from './use-case-context.ts';

/**
 * Restores with several sessions: first the definitions, then the rows - of several streams side by side, the largest
 * first -, then indexes, constraints and triggers side by side. The first failure ends all of them. That is no
 * transaction: a database that was there before, and empty, is emptied again by a failure, and bears a mark (schema
 * `librelog_backup_restore_unfinished`) as long as it is not complete; one with extensions is refused (`conflict`).
 */
export async function restoreInParallel(run: RestoreRun, jobs: number): Promise<void> {
  const restore = async () => await restorePhases({ ...run, jobs });
  await (run.target.mode === 'existing' ? restoreMarked(run, restore) : restore());
}

async function restorePhases(run: ParallelRun): Promise<void> {
  const { archive, target, context } = run;
  const rest =
    archive.streams === null
      ? { archive: await restoreArchiveRows(run) }
      : await restoreStreamRows(archive.streams, run);
  target.onPhase?.('indexes, constraints and triggers');
  await restoreRest(rest, run, context.signal);
  context.signal.throwIfAborted();
}

/** Definitions and rows of one stream. Returns its beginning, up to the end of the table of contents at least. */
async function restoreArchiveRows(run: ParallelRun): Promise<Uint8Array> {
  const { archive, target, server, context, meter } = run;
  target.onPhase?.('definitions and rows');
  const tool = await findPgRestore(run);
  const { args } = planPgRestore(target.options);
  const stall = { meter, timeoutMs: target.stallTimeoutMs, what: `"${archive.name}"` };
  return await runPipeline({ signal: context.signal, stall }, async (signal) => {
    const { body } = await archive.open(signal);
    const [copy, rows] = fork(meter.count(body));
    const reading = readHead(copy, async (head) => void (await listArchive({ tool, signal }, head)));
    reading.catch(() => {});
    const restore = {
      tool,
      args: [...args, '--section=pre-data', '--section=data'],
      connection: target.connection,
      signal,
    };
    const psql = needsScript(tool, server.major) ? await findPsql(target, server, context) : null;
    const { warnings } =
      psql === null
        ? await restoreArchive(restore, rows)
        : await restoreArchiveAsScript({ ...restore, psql, serverMajor: server.major }, rows);
    warnAll(context, warnings);
    return await reading;
  });
}

/** What `use` read of the stream before it had enough. */
async function readHead(
  source: ByteStream & AsyncDisposable,
  use: (head: ByteStream) => Promise<void>,
): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  async function* keep(): ByteStream {
    for await (const chunk of source) {
      chunks.push(Buffer.from(chunk));
      yield chunk;
    }
  }
  try {
    await use(keep());
    return Buffer.concat(chunks);
  } finally {
    await source[Symbol.asyncDispose]();
  }
}
