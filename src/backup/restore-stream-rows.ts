import type { ManifestObject } from '../catalog/manifest.ts';
import { collect, streamOf, type ByteStream } from '../core/byte-stream.ts';
import { productName } from '../core/version.ts';
import { Meter } from '../pipeline/meter.ts';
import { runPipeline } from '../pipeline/run-pipeline.ts';
import { runQueue, type Task } from '../pipeline/run-side-by-side.ts';
import { indexesOf, parseArchiveContents, type ArchiveEntry } from '../postgres/archive-contents.ts';
import type { Connection } from '../postgres/connection.ts';
import { loadRows } from '../postgres/load-rows.ts';
import { runMessage, toMessage } from '../postgres/script-message.ts';
import { openSession, type Session } from '../postgres/session.ts';
import { orderForRestore, TablesUnderWay, weightOf } from './restore-order.ts';
import { findPsql } from './restore-run.ts';
import { restoreRest, runOneScript, stallOf, type ParallelRun, type RestToRestore } from './restore-steps.ts';
import { maxDefinitionsBytes, type ScriptRequest, type StoredStreams } from './stored-streams.ts';
import { warnAll, type UseCaseContext } from './use-case-context.ts';

/** A table that weighs less is not worth a pg_restore for each index of its own. */
const smallestWeight = 32 * 1024 * 1024;

/** Definitions and rows of several streams, and the indexes of large tables, each as soon as its table is complete. */
export async function restoreStreamRows(streams: StoredStreams, run: ParallelRun): Promise<RestToRestore> {
  const { target, server, context } = run;
  const isFrozen = target.isFast === true;
  const request = { options: target.options, serverMajor: server.major, isTransaction: true, isFrozen };
  // Before anything is restored: it fails where it is damaged.
  const contents = await streams.contents(context.signal);
  await using sessions = new SessionPool(target.connection, context);
  const archive = await streams.schema(context.signal);
  const parts = { streams, request, run, archive, sessions, done: new Set<number>() };
  target.onPhase?.('definitions');
  await restoreDefinitions(parts);
  target.onPhase?.('rows');
  const entries = parseArchiveContents(await streams.listSchema(context.signal, ['--verbose'])) ?? [];
  const tables = new TablesUnderWay(contents);
  const tasks = orderForRestore(streams.rowObjects, contents).map((object): Task => {
    return async (signal, queue) => {
      await loadObject(object, parts, signal);
      for (const table of tables.completedBy(object.name)) {
        const indexes = weightOf(table) < smallestWeight ? [] : indexesOf(table, entries);
        queue.addFirst(...indexes.map((ids) => buildIndex(ids, parts)));
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

interface RowsRun {
  readonly streams: StoredStreams;
  readonly request: ScriptRequest;
  readonly run: ParallelRun;
  readonly archive: Uint8Array;
  readonly sessions: SessionPool;
  /** Ids of entries that are restored. */
  readonly done: Set<number>;
}

async function restoreDefinitions({ streams, request, run }: RowsRun): Promise<void> {
  const { target, server, context } = run;
  const { signal } = context;
  const script = await collect(streams.definitions('pre-data', request, signal), maxDefinitionsBytes);
  const message = toMessage(script);
  if (message === null) {
    const psql = await findPsql(target, server, context);
    return await runOneScript({ run, psql, what: 'definitions' }, signal, () => streamOf(script));
  }
  await using session = await openSession(target.connection, { applicationName: productName, signal });
  await runMessage(session, message);
  warnAll(context, session.takeWarnings());
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

/** The index first, then the comments on it. */
function buildIndex(entries: readonly number[], { streams, request, run, archive, sessions, done }: RowsRun): Task {
  return async (signal) => {
    const chosen = { ...request, entries };
    const message = toMessage(await collect(streams.definitions('post-data', chosen, signal), maxDefinitionsBytes));
    if (message !== null) await sessions.use(signal, async (session) => await runMessage(session, message));
    else await restoreRest({ archive, entries }, { ...run, jobs: 1 }, signal);
    for (const id of entries) done.add(id);
  };
}

/** Sessions that were opened for one task and can be used for the next. Dispose ends all of them. */
class SessionPool implements AsyncDisposable {
  readonly #connection: Connection;
  readonly #context: UseCaseContext;
  readonly #idle: Session[] = [];
  readonly #all = new Set<Session>();

  constructor(connection: Connection, context: UseCaseContext) {
    this.#connection = connection;
    this.#context = context;
  }

  /** Gives `work` a session, which is not used again if that fails. `signal`, the same for all, ends the sessions. */
  async use(signal: AbortSignal, work: (session: Session) => Promise<void>): Promise<void> {
    const session = this.#idle.pop() ?? (await this.#open(signal));
    await work(session);
    warnAll(this.#context, session.takeWarnings());
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
