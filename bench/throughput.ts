import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { assertSameDatabase } from '../test/support/database-difference.ts';
import { fingerprintDatabase, type DatabaseFingerprint } from '../test/support/database-fingerprint.ts';
import { listCandidates, type Candidate } from './candidates.ts';
import { measure, type Command, type Measurement } from './measure.ts';
import type { BenchOptions } from './options.ts';
import type { CandidateResult, Throughput } from './report.ts';
import { median } from './statistics.ts';
import { createBenchDatabase, type Workbench } from './workbench.ts';

const sourceName = 'bench';
const targetName = 'restored';

type Direction = 'create' | 'restore';

/** Creates, then restores: every candidate once per round, the next round beginning with another one. */
export async function measureThroughput(bench: Workbench, options: BenchOptions): Promise<Throughput> {
  console.error(`making a database of about ${options.megabytes} MB`);
  await createBenchDatabase(bench.cluster, sourceName, options.megabytes);
  const candidates = listCandidates(bench, sourceName);
  const limit = candidates.find(({ name }) => name === 'limit');
  if (limit?.archive === undefined) throw new Error('the limit makes no archive');
  // Also brings the database into memory, where every candidate finds it.
  await runUnmeasured(bench, limit.archive);
  const dumpBytes = sizeOf(limit.output);
  const create = await measureRounds(bench, { direction: 'create', candidates, options });
  const restore = await measureRounds(bench, { direction: 'restore', candidates, options });
  const [size] = await bench.cluster.query<{ bytes: string }>(
    sourceName,
    'SELECT pg_database_size(current_database()) AS bytes',
  );
  return { dumpBytes, databaseBytes: Number(size?.bytes), repetitions: options.repetitions, create, restore };
}

interface Rounds {
  readonly direction: Direction;
  readonly candidates: readonly Candidate[];
  readonly options: BenchOptions;
}

async function measureRounds(bench: Workbench, rounds: Rounds): Promise<CandidateResult[]> {
  const { direction, options } = rounds;
  const chosen = rounds.candidates.filter(({ name }) => options.only.test(`${direction} ${name}`));
  const measured = new Map<Candidate, Measurement[]>(chosen.map((candidate) => [candidate, []]));
  for (let round = 0; round < options.repetitions; round += 1) {
    for (const candidate of rotate(chosen, round)) {
      const measureOne = direction === 'create' ? measureCreate : measureRestore;
      const measurement = await measureOne(bench, candidate);
      measured.get(candidate)?.push(measurement);
      const seconds = (measurement.wallMs / 1000).toFixed(2);
      console.error(`${direction} ${round + 1}/${options.repetitions} ${candidate.name}: ${seconds} s`);
    }
  }
  if (direction === 'restore' && chosen.length > 0) await proveRestores(bench, chosen);
  return [...measured].map(([candidate, runs]) => toResult(candidate, direction, runs));
}

function rotate<Item>(items: readonly Item[], by: number): Item[] {
  const start = items.length === 0 ? 0 : by % items.length;
  return [...items.slice(start), ...items.slice(0, start)];
}

async function measureCreate(bench: Workbench, candidate: Candidate): Promise<Measurement> {
  rmSync(candidate.output, { recursive: true, force: true });
  await settle(bench);
  return await measure(candidate.create.command, { env: {}, folder: bench.folder });
}

async function measureRestore(bench: Workbench, candidate: Candidate): Promise<Measurement> {
  if (!existsSync(candidate.output)) await runUnmeasured(bench, candidate.archive ?? candidate.create.command);
  await bench.cluster.dropDatabase(targetName);
  await bench.cluster.createDatabase(targetName);
  await settle(bench);
  return await measure(candidate.restore.command(targetName), { env: {}, folder: bench.folder });
}

/** A fast restore of the wrong thing is no restore: what each of our own brings back is compared with the source. */
async function proveRestores(bench: Workbench, candidates: readonly Candidate[]): Promise<void> {
  let source: DatabaseFingerprint | undefined;
  for (const candidate of candidates.filter(({ create }) => create.command.isOurs)) {
    source ??= await fingerprintDatabase(bench.cluster, sourceName);
    await measureRestore(bench, candidate);
    assertSameDatabase(await fingerprintDatabase(bench.cluster, targetName), source);
    console.error(`restore ${candidate.name}: the restored database is identical`);
  }
}

async function runUnmeasured(bench: Workbench, command: Command): Promise<void> {
  await measure(command, { env: {}, folder: bench.folder });
}

/** Writes out what earlier candidates left in memory, so that the next one does not wait for it. */
async function settle(bench: Workbench): Promise<void> {
  await bench.cluster.query('postgres', 'CHECKPOINT');
  execFileSync('sync');
}

function toResult(candidate: Candidate, direction: Direction, runs: readonly Measurement[]): CandidateResult {
  const walls = runs.map((run) => run.wallMs);
  return {
    name: candidate.name,
    title: candidate[direction].title,
    wallMs: median(walls),
    fastestMs: Math.min(...walls),
    slowestMs: Math.max(...walls),
    cpuMs: median(runs.map((run) => run.cpuMs)),
    peakMemoryBytes: Math.max(...runs.map((run) => run.peakMemoryBytes)),
    storedBytes: direction === 'create' && candidate.archive === undefined ? sizeOf(candidate.output) : null,
  };
}

function sizeOf(path: string): number {
  const stats = lstatSync(path);
  if (!stats.isDirectory()) return stats.size;
  return readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0);
}
