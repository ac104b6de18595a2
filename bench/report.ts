import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CandidateName } from './candidates.ts';
import type { Machine } from './machine.ts';
import { plotFolder, type Plot } from './plots.ts';
import type { ParallelName } from './parallel-candidates.ts';
import type { ScalingName } from './scaling.ts';
import type { LinkLimits } from './slow-link.ts';
import type { StorageName } from './storage.ts';

export interface CandidateResult<Name extends string = CandidateName> {
  readonly name: Name;
  readonly title: string;
  /** Median of the rounds, like `cpuMs`. */
  readonly wallMs: number;
  readonly fastestMs: number;
  readonly slowestMs: number;
  readonly cpuMs: number;
  /** Highest of the rounds. */
  readonly peakMemoryBytes: number;
  readonly storedBytes: number | null;
}

export interface Throughput {
  readonly dumpBytes: number;
  readonly databaseBytes: number;
  readonly repetitions: number;
  readonly create: readonly CandidateResult[];
  readonly restore: readonly CandidateResult[];
}

export interface MeasuredCandidate<Name extends string> extends CandidateResult<Name> {
  /** Size of the unencrypted dump that lay on a file system, of whatever kind. */
  readonly plaintextBytes: number;
  /** Written to disks beside what was stored and that dump. Both are the highest of the rounds. */
  readonly otherWrittenBytes: number;
}

export interface Scaling extends LinkLimits {
  /** Size of the dump, about. */
  readonly megabytes: number;
  readonly create: readonly MeasuredCandidate<ScalingName>[];
  readonly restore: readonly MeasuredCandidate<ScalingName>[];
}

/** Several streams, side by side with other tools. */
export interface Parallel {
  /** Size of the directory that `pg_dump -Fd -Z0` writes. */
  readonly dumpBytes: number;
  readonly databaseBytes: number;
  readonly repetitions: number;
  readonly create: readonly MeasuredCandidate<ParallelName>[];
  readonly restore: readonly MeasuredCandidate<ParallelName>[];
}

export interface MemoryResult {
  readonly what: string;
  readonly smallMegabytes: number;
  readonly smallPeakBytes: number;
  readonly largeMegabytes: number;
  readonly largePeakBytes: number;
}

export interface StartupResult {
  readonly name: string;
  readonly wallMs: number;
}

export interface StorageResult {
  readonly name: StorageName;
  /** Median of the rounds. */
  readonly wallMs: number;
  readonly fastestMs: number;
  readonly slowestMs: number;
  /** Of our own process; highest of the rounds. */
  readonly peakMemoryBytes: number;
}

/** One object of unknown length, in parts. */
export interface UploadResult {
  readonly objectBytes: number;
  readonly parts: number;
  readonly largestPartBytes: number;
  readonly wallMs: number;
  readonly peakMemoryBytes: number;
  /** What the store may hold of the object at a time. */
  readonly uploadMemoryBytes: number;
}

/** `keys verify` and `keys rewrap` of many backups. */
export interface KeysResult {
  readonly place: 'folder' | 's3';
  readonly backups: number;
  readonly verifyMs: number;
  readonly rewrapMs: number;
  readonly verifyPeakBytes: number;
  readonly rewrapPeakBytes: number;
  /** Requests to the store under way at once; `null` where there are none to be counted. */
  readonly mostInFlight: number | null;
  /** How often one command asked for one key, at most. */
  readonly mostFetchesOfAKey: number;
}

/** One part of the report, with where and when it was measured: the parts may come from different runs. */
export interface Measured<Result> {
  readonly measuredAt: string;
  readonly machine: Machine;
  readonly result: Result;
}

export interface BenchReport {
  readonly throughput?: Measured<Throughput>;
  readonly parallel?: Measured<Parallel>;
  readonly scaling?: Measured<Scaling>;
  readonly memory?: Measured<readonly MemoryResult[]>;
  readonly startup?: Measured<readonly StartupResult[]>;
  readonly storage?: Measured<readonly StorageResult[]>;
  readonly upload?: Measured<UploadResult>;
  readonly keys?: Measured<readonly KeysResult[]>;
}

const jsonName = 'benchmarks.json';

/** The last report there, so that a run of one part keeps the others; an empty one where there is none. */
export function readReport(folder: string): BenchReport {
  const path = join(folder, jsonName);
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as BenchReport) : {};
}

export interface Documents {
  readonly markdown: string;
  readonly plots: readonly Plot[];
}

export function writeReport(folder: string, report: BenchReport, { markdown, plots }: Documents): void {
  mkdirSync(join(folder, plotFolder), { recursive: true });
  for (const { fileName, svg } of plots) writeFileSync(join(folder, plotFolder, fileName), svg);
  writeFileSync(join(folder, jsonName), `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(join(folder, 'benchmarks.md'), markdown);
}
