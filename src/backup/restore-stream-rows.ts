import type { ManifestObject } from '../catalog/manifest.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import { productName } from '../core/version.ts';
import { Meter } from '../pipeline/meter.ts';
import { runPipeline, type StallGuard } from '../pipeline/run-pipeline.ts';
import { runQueue, type Task } from '../pipeline/run-side-by-side.ts';
import { indexesOf, parseArchiveContents, type ArchiveEntry } from '../postgres/archive-contents.ts';
import { needsScript } from '../postgres/archive-script.ts';
import type { ClientTool } from '../postgres/client-tools.ts';
import type { Connection } from '../postgres/connection.ts';
import { loadRows } from '../postgres/load-rows.ts';
import { restorePostData } from '../postgres/pg-restore.ts';
import { restoreScript } from '../postgres/psql.ts';
import { planPgRestore } from '../postgres/restore-plan.ts';
import { openSession, type Session } from '../postgres/session.ts';
import { orderForRestore, TablesUnderWay, weightOf } from './restore-order.ts';
import { findPgRestore, findPsql, type RestoreRun } from './restore-run.ts';
import type { ScriptRequest, StoredStreams } from './stored-streams.ts';
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

/** A table that weighs less is not worth a pg_restore of its own for each index. */
const smallestWeight = 32 * 1024 * 1024;

/** Definitions and rows of several streams, and the indexes of large tables, each as soon as its table is complete. */
export async function restoreStreamRows(streams: StoredStreams, run: ParallelRun): Promise<RestToRestore> {
  const { target, server, context } = run;
  const isFrozen = target.isFast === true;
  const request = { options: target.options, serverMajor: server.major, isTransaction: true, isFrozen };
  // Before anything is restored: it fails where it is damaged.
  const contents = await streams.contents(context.signal);
  target.onPhase?.('definitions');
  await restoreDefinitions(streams, request, run);
  target.onPhase?.('rows');
  const archive = await streams.schema(context.signal);
  const entries = await readEntries(streams, run);
  await using sessions = new SessionPool(target.connection);
  const parts = { streams, request, run, archive, sessions, done: new Set<number>() };
  const tables = new TablesUnderWay(contents);
  const tasks = orderForRestore(streams.rowObjects, contents).map((object): Task => {
    return async (signal, queue) => {
      await loadObject(object, parts, signal);
      for (const table of tables.completedBy(object.name)) {
        const indexes = weightOf(table) < smallestWeight ? [] : indexesOf(table, entries);
        queue.addFirst(...indexes.map((id) => buildIndex(id, parts)));
      }
    };
  });
  await runQueue(tasks, { jobs: run.jobs, signal: context.signal });
  return { archive, ...(parts.done.size > 0 && { entries: restOf(entries, parts.done) }) };
}

/** pg_restore takes those of other sections out itself. */
function restOf(entries: readonly ArchiveEntry[], done: ReadonlySet<number>): number[] {
  return entries.flatMap(({ id }) => (done.has(id) ? [] : [id]));
}

/** None where no index can be built on its own. */
async function readEntries(streams: StoredStreams, run: ParallelRun): Promise<ArchiveEntry[]> {
  if (needsScript(await findPgRestore(run), run.server.major)) return [];
  return parseArchiveContents(await streams.listSchema(run.context.signal, ['--verbose'])) ?? [];
}

interface RowsRun {
  readonly streams: StoredStreams;
  readonly request: ScriptRequest;
  readonly run: ParallelRun;
  readonly archive: Uint8Array;
  readonly sessions: SessionPool;
  /** Ids of entries that are restored. */
  readonly done: Set<number>;
}

async function restoreDefinitions(streams: StoredStreams, request: ScriptRequest, run: ParallelRun): Promise<void> {
  const psql = await findPsql(run.target, run.server, run.context);
  await runOneScript({ run, psql, what: 'definitions' }, run.context.signal, (signal) =>
    streams.definitions('pre-data', request, signal),
  );
}

async function loadObject(object: ManifestObject, parts: RowsRun, signal: AbortSignal): Promise<void> {
  const { streams, request, run, sessions } = parts;
  if (object.role === 'remainder') {
    const psql = await findPsql(run.target, run.server, run.context);
    return await runOneScript({ run, psql, what: object.name }, signal, (inner) =>
      streams.remainder(object, request, inner),
    );
  }
  const meter = new Meter();
  const stall = stallOf(run, meter, object.name);
  await sessions.use(signal, async (session) => {
    await runPipeline({ signal, stall }, async (inner) => {
      const watched = { ...request, watch: (script: ByteStream) => run.meter.count(meter.count(script)) };
      await loadRows(session, streams.dataPieces(object, watched, inner));
    });
  });
}

function buildIndex(id: number, { run, archive, done }: RowsRun): Task {
  return async (signal) => {
    const tool = await findPgRestore(run);
    const { args } = planPgRestore(run.target.options);
    const { connection } = run.target;
    const { warnings } = await restorePostData({ tool, args, connection, jobs: 1, entries: [id], signal }, archive);
    warnAll(run.context, warnings);
    done.add(id);
  };
}

/** Sessions that were opened for one task and can be used for the next. Dispose ends all of them. */
class SessionPool implements AsyncDisposable {
  readonly #connection: Connection;
  readonly #idle: Session[] = [];
  readonly #all = new Set<Session>();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** A session that served work which failed is not used again. */
  async use(signal: AbortSignal, work: (session: Session) => Promise<void>): Promise<void> {
    const session = this.#idle.pop() ?? (await this.#open(signal));
    await work(session);
    this.#idle.push(session);
  }

  async #open(signal: AbortSignal): Promise<Session> {
    const session = await openSession(this.#connection, { applicationName: productName, signal });
    this.#all.add(session);
    return session;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#all].map(async (session) => await session[Symbol.asyncDispose]()));
  }
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

function stallOf({ target }: RestoreRun, meter: Meter, what: string): StallGuard {
  return { meter, timeoutMs: target.stallTimeoutMs, what: `"${what}"` };
}
