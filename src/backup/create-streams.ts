import { formatContents, type Contents } from '../catalog/contents.ts';
import { BackupError } from '../core/backup-error.ts';
import { streamOf, type ByteStream } from '../core/byte-stream.ts';
import { productName } from '../core/version.ts';
import { fork, type Branch } from '../pipeline/fan-out.ts';
import { runSideBySide } from '../pipeline/run-side-by-side.ts';
import { findClientTool, type ClientTool } from '../postgres/client-tools.ts';
import { startCopyOut, type CopyOutProcess } from '../postgres/copy-out.ts';
import { dataTableOids, findDataTables } from '../postgres/data-tables.ts';
import { planSections, streamLockTimeout, type SectionChoice } from '../postgres/dump-plan.ts';
import { startPgDump } from '../postgres/pg-dump.ts';
import { listArchive } from '../postgres/pg-restore.ts';
import { openSnapshot, type Snapshot } from '../postgres/snapshot.ts';
import { planStreams, type DataTable, type StreamPlan, type StreamUnit } from '../postgres/stream-plan.ts';
import { abortOn, type CreateRun } from './create-run.ts';
import { storeObject, type NewObject, type ObjectSource, type StoredBackupObject } from './store-object.ts';

/** How what a snapshot shows is divided among streams. */
interface Streams {
  readonly plan: StreamPlan;
  readonly snapshot: Snapshot;
  /** OIDs of all tables whose rows pg_dump would dump. */
  readonly oids: readonly number[];
  readonly tools: StreamTools;
}

interface StreamTools {
  readonly psql: ClientTool;
  readonly pgRestore: ClientTool;
}

type PlanningRun = Pick<CreateRun, 'request' | 'connection' | 'context' | 'plan' | 'server' | 'tool'>;

/** How the database would be divided among streams now. Errors: `postgres`, the signal's reason. */
export async function planStreamsOf(run: PlanningRun): Promise<StreamPlan> {
  await using snapshot = await takeSnapshot(run);
  return (await divide(run, snapshot)).plan;
}

/**
 * Stores all objects of a backup of several streams, from one snapshot. The first failure ends all of them. Errors:
 * `postgres`, those of the stores, the signal's reason.
 */
export async function storeStreams(run: CreateRun): Promise<StoredBackupObject[]> {
  await using snapshot = await takeSnapshot(run);
  const signal = AbortSignal.any([run.context.signal, abortOn(snapshot.lost)]);
  const tables: PartsByTable = new Map();
  const [schema = [], rows = []] = await runSideBySide(
    [
      // Its pg_dump takes its locks when it begins: the sooner, the better.
      async (signal) => [await storeObject(schemaObject(run, snapshot), run, signal)],
      async (signal) => await storeRows(withSignal(run, signal), snapshot, tables),
    ],
    { jobs: 2, signal },
  );
  return [...schema, ...rows, await storeObject(contentsObject(run, tables), run, signal)];
}

function withSignal(run: CreateRun, signal: AbortSignal): CreateRun {
  return { ...run, context: { ...run.context, signal } };
}

async function takeSnapshot({ connection, context }: PlanningRun): Promise<Snapshot> {
  return await openSnapshot(connection, { applicationName: productName, signal: context.signal });
}

/** Lets pg_dump say which rows belong to the dump, and divides them. */
async function divide(run: PlanningRun, snapshot: Snapshot): Promise<Streams> {
  const { request, context, server, tool } = run;
  const search = { serverMajor: tool.major, binDir: request.binDir, env: context.env };
  const [psql, pgRestore] = await Promise.all([findClientTool('psql', search), findClientTool('pg_restore', search)]);
  const oids = await surveyRows(run, snapshot, pgRestore);
  const { versionNum, encoding } = server;
  const lockTimeout = request.dump.lockWaitTimeout;
  const tables = await findDataTables(oids, snapshot, { versionNum, encoding, lockTimeout });
  return { plan: planStreams(tables, run.plan.jobs), snapshot, oids, tools: { psql, pgRestore } };
}

/** An archive begins with its table of contents, and pg_restore reads no further. */
async function surveyRows(run: PlanningRun, snapshot: Snapshot, pgRestore: ClientTool): Promise<number[]> {
  const { request, connection, context, tool } = run;
  const { signal } = context;
  const plan = planSections(request.dump, { snapshotId: snapshot.id, sections: ['data'] });
  await using dump = startPgDump({ tool, plan, connection }, { signal });
  return dataTableOids(await listArchive({ tool: pgRestore, signal }, dump.output));
}

type PartsByTable = Map<DataTable, Contents['tables'][number]['parts']>;

async function storeRows(run: CreateRun, snapshot: Snapshot, tables: PartsByTable): Promise<StoredBackupObject[]> {
  const { context, plan } = run;
  const streams = await divide(run, snapshot);
  const units = streams.plan.units.map((unit, index) => {
    return async (signal: AbortSignal) => await storeUnit({ unit, index, tables }, { run, streams, signal });
  });
  const [remainder = [], rows = []] = await runSideBySide(
    [
      // Beside them: it mostly waits for the answers to its many small questions.
      async (signal) => [await storeObject(remainderObject(run, streams), run, signal)],
      async (signal) => await runSideBySide(units, { jobs: plan.jobs, signal }),
    ],
    { jobs: 2, signal: context.signal },
  );
  return [...remainder, ...rows];
}

function schemaObject(run: CreateRun, snapshot: Snapshot): NewObject {
  return {
    name: `schema.dump${run.plan.extension}`,
    role: 'schema',
    writer: 'pg_dump',
    expectedSizeBytes: 0,
    start: (signal) => startSections(run, { snapshotId: snapshot.id, sections: ['pre-data', 'post-data'] }, signal),
  };
}

function remainderObject(run: CreateRun, streams: Streams): NewObject {
  const dividedTables = new Set(tablesOf(streams.plan));
  const sizeBytes = run.server.sizeBytes - sum(streams.plan.units);
  const choice = {
    snapshotId: streams.snapshot.id,
    sections: ['data'],
    tablesWithoutRows: [...dividedTables],
  } as const;
  return {
    name: `remainder.dump${run.plan.extension}`,
    role: 'remainder',
    writer: 'pg_dump',
    expectedSizeBytes: Math.max(0, sizeBytes),
    start: (signal) => {
      const dump = startSections(run, choice, signal);
      const expected = new Set(streams.oids).difference(new Set([...dividedTables].map(({ oid }) => oid)));
      const check = async (head: ByteStream) => {
        const contents = await listArchive({ tool: streams.tools.pgRestore, signal }, head);
        demandSameTables(new Set(dataTableOids(contents)), expected);
      };
      return {
        output: checked(dump.output, check),
        get warnings() {
          return dump.warnings;
        },
        [Symbol.asyncDispose]: async () => await dump[Symbol.asyncDispose](),
      };
    },
  };
}

function startSections(run: CreateRun, choice: SectionChoice, signal: AbortSignal): ObjectSource {
  const { request, connection, tool } = run;
  return startPgDump({ tool, plan: planSections(request.dump, choice), connection }, { signal });
}

/** Every table of the dump in exactly one place: that is for pg_dump itself to say. */
function demandSameTables(found: ReadonlySet<number>, expected: ReadonlySet<number>): void {
  if (found.symmetricDifference(expected).size === 0) return;
  throw new BackupError('postgres', 'pg_dump does not dump exactly the tables that no other stream has', {
    hint: 'Back up with --jobs 1.',
  });
}

/** `source`, which ends only when `check` has had a look at it and is content. */
async function* checked(source: ByteStream, check: (copy: ByteStream) => Promise<void>): ByteStream {
  const [copy, body] = fork(source);
  const checking = checkBranch(copy, check);
  // Thrown below, in its turn.
  checking.catch(() => {});
  try {
    yield* body;
    await checking;
  } finally {
    await body[Symbol.asyncDispose]();
  }
}

async function checkBranch(branch: Branch, check: (copy: ByteStream) => Promise<void>): Promise<void> {
  await using copy = branch;
  await check(copy);
}

interface UnitToStore {
  readonly unit: StreamUnit;
  readonly index: number;
  /** Gets the parts of each table. */
  readonly tables: PartsByTable;
}

interface UnitRun {
  readonly run: CreateRun;
  readonly streams: Streams;
  readonly signal: AbortSignal;
}

async function storeUnit(
  { unit, index, tables }: UnitToStore,
  { run, streams, signal }: UnitRun,
): Promise<StoredBackupObject> {
  const { connection, server, request } = run;
  const name = `data-${String(index + 1).padStart(3, '0')}.sql${run.plan.extension}`;
  const copy = {
    tool: streams.tools.psql,
    connection,
    snapshotId: streams.snapshot.id,
    unit,
    encoding: server.encoding,
    extraFloatDigits: request.dump.filters.extraFloatDigits,
    lockTimeout: streamLockTimeout(request.dump),
  };
  const started: CopyOutProcess[] = [];
  const start = (signal: AbortSignal): ObjectSource => {
    const process = startCopyOut(copy, { signal });
    started.push(process);
    return process;
  };
  const object = { name, role: 'data', writer: 'psql', expectedSizeBytes: unit.sizeBytes, start } as const;
  const stored = await storeObject(object, run, signal);
  const counts = started[0]?.rows() ?? [];
  for (const [part, { table }] of unit.parts.entries()) {
    const parts = tables.get(table) ?? [];
    tables.set(table, [...parts, { object: name, rows: counts[part] ?? null }]);
  }
  return stored;
}

function contentsObject(run: CreateRun, tables: PartsByTable): NewObject {
  const entries = [...tables].map(([{ schema, name, sizeBytes, indexBytes }, parts]) => {
    return { schema, name, sizeBytes, indexBytes, parts: parts.toSorted((a, b) => (a.object < b.object ? -1 : 1)) };
  });
  return {
    name: `contents.json${run.plan.extension}`,
    role: 'contents',
    writer: productName,
    expectedSizeBytes: 0,
    start: () => ({
      output: streamOf(formatContents(entries)),
      warnings: [],
      [Symbol.asyncDispose]: async () => await Promise.resolve(),
    }),
  };
}

function tablesOf({ units }: StreamPlan): DataTable[] {
  return [...new Set(units.flatMap(({ parts }) => parts.map(({ table }) => table)))];
}

function sum(units: readonly StreamUnit[]): number {
  return units.reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0);
}
