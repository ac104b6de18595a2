import type { CandidateName } from './candidates.ts';
import { defaultUploadMemoryBytes } from '../src/storage/store-settings.ts';
import { checkParallel, checkScaling, memoryOfStreamBytes } from './parallel-targets.ts';
import type { BenchReport, CandidateResult, KeysResult, MemoryResult } from './report.ts';
import { latencyMs, type StorageName } from './storage.ts';

/** What the project promises, next to what was measured. */
export interface Target {
  readonly promise: string;
  readonly measured: string;
  readonly isReached: boolean;
}

const maxCreateRatio = 1.25;
const minGpgRatio = 5;
const maxRestoreRatio = 1.1;
const maxMemoryBytes = 300e6;
const maxMemoryGrowth = 0.1;
/** Amazon S3's limit. */
const maxParts = 10_000;
const maxRewrapMs = 60_000;
const maxKeysGrowthBytes = 50e6;
const maxRequests = 8;
const maxS3Ratio = 1.3;
const minShareOfThroughput = 0.9;
const startupTargets = { '--version': 60, '--help': 60, list: 150 } as const;

/** The promises that the report has figures for. */
export function checkTargets(report: BenchReport): Target[] {
  const { create = [], restore = [] } = report.throughput?.result ?? {};
  return [
    ...checkRatios(create, (ratio) => ({
      promise: `create takes at most ${maxCreateRatio} × the limit`,
      measured: ratio.toFixed(2),
      isReached: ratio <= maxCreateRatio,
    })),
    ...checkGpg(create),
    ...checkRatios(restore, (ratio) => ({
      promise: `restore takes at most ${maxRestoreRatio} × the limit`,
      measured: ratio.toFixed(2),
      isReached: ratio <= maxRestoreRatio,
    })),
    ...checkPeaks([...create, ...restore]),
    ...(report.memory?.result ?? []).flatMap(checkMemory),
    ...(report.parallel === undefined ? [] : checkParallel(report.parallel.result)),
    ...(report.scaling === undefined ? [] : checkScaling(report.scaling.result)),
    ...checkStartup(report),
    ...checkStorage(report),
    ...checkUpload(report),
    ...checkKeys(report),
  ];
}

export function find(results: readonly CandidateResult[], name: CandidateName): CandidateResult | undefined {
  return results.find((result) => result.name === name);
}

function ours(results: readonly CandidateResult[]): CandidateResult[] {
  return results.filter(({ name }) => name === 'aes' || name === 'openpgp');
}

function checkRatios(results: readonly CandidateResult[], judge: (ratio: number) => Target): Target[] {
  const limit = find(results, 'limit');
  if (limit === undefined) return [];
  return ours(results).map(({ name, wallMs }) => labelled(name, judge(wallMs / limit.wallMs)));
}

function labelled(name: string, target: Target): Target {
  return { ...target, promise: `${target.promise} (${name})` };
}

function checkGpg(results: readonly CandidateResult[]): Target[] {
  const gpg = find(results, 'gpg');
  if (gpg === undefined) return [];
  return ours(results).map(({ name, wallMs }) => {
    const ratio = gpg.wallMs / wallMs;
    const promise = `create is at least ${minGpgRatio} × as fast as \`pg_dump \\| gpg\` (${name})`;
    return { promise, measured: ratio.toFixed(1), isReached: ratio >= minGpgRatio };
  });
}

function checkPeaks(results: readonly CandidateResult[]): Target[] {
  if (ours(results).length === 0) return [];
  const highest = Math.max(...ours(results).map(({ peakMemoryBytes }) => peakMemoryBytes));
  return [atMost300(`our process stays within ${maxMemoryBytes / 1e6} MB`, highest)];
}

function atMost300(promise: string, bytes: number): Target {
  return { promise, measured: `${Math.round(bytes / 1e6)} MB`, isReached: bytes <= maxMemoryBytes };
}

function checkMemory({ what, smallPeakBytes, largePeakBytes, largeMegabytes }: MemoryResult): Target[] {
  const growth = largePeakBytes / smallPeakBytes - 1;
  const percent = `${growth < 0 ? '−' : '+'}${Math.abs(growth * 100).toFixed(0)} %`;
  return [
    atMost300(`${what}: within ${maxMemoryBytes / 1e6} MB for ${largeMegabytes / 1000} GB`, largePeakBytes),
    {
      promise: `${what}: memory within ${maxMemoryGrowth * 100} % for both sizes`,
      measured: percent,
      isReached: Math.abs(growth) <= maxMemoryGrowth,
    },
  ];
}

function checkStartup(report: BenchReport): Target[] {
  const results = report.startup?.result ?? [];
  const node = results.find(({ name }) => name === 'node -e 0');
  if (node === undefined) return [];
  return Object.entries(startupTargets).flatMap(([name, maxMs]) => {
    const result = results.find((result) => result.name === name);
    if (result === undefined) return [];
    const overMs = result.wallMs - node.wallMs;
    const promise = `\`${name}\` takes at most ${maxMs} ms more than \`node -e 0\``;
    return [{ promise, measured: `${overMs.toFixed(0)} ms`, isReached: overMs <= maxMs }];
  });
}

function checkStorage(report: BenchReport): Target[] {
  const walls = new Map(report.storage?.result.map(({ name, wallMs }) => [name, wallMs]));
  const ratio = (one: StorageName, other: StorageName) => (walls.get(one) ?? 0) / (walls.get(other) ?? 0);
  if (walls.size === 0) return [];
  const share = (direction: 'create' | 'restore'): Target => {
    const measured = ratio(`${direction} near`, `${direction} far`);
    const promise = `${direction} through ${latencyMs} ms more per request keeps ${minShareOfThroughput * 100} % of its throughput`;
    return { promise, measured: `${(measured * 100).toFixed(0)} %`, isReached: measured >= minShareOfThroughput };
  };
  const s3 = ratio('create s3', 'create folder');
  const promise = `create to S3 on the same machine takes at most ${maxS3Ratio} × create to a folder`;
  const toS3 = { promise, measured: s3.toFixed(2), isReached: s3 <= maxS3Ratio };
  return [toS3, share('create'), share('restore'), ...checkStreamsToS3(report)];
}

const streamsToS3: Partial<Record<StorageName, number>> = { 'create s3': 1, 'create s3 2': 2, 'create s3 4': 4 };

/** All streams of a backup share the upload memory. */
function checkStreamsToS3(report: BenchReport): Target[] {
  return (report.storage?.result ?? []).flatMap(({ name, peakMemoryBytes }) => {
    const streams = streamsToS3[name];
    if (streams === undefined) return [];
    const limitBytes = maxMemoryBytes + defaultUploadMemoryBytes + streams * memoryOfStreamBytes;
    return [
      {
        promise: `create to S3 (streams: ${streams}) stays within ${Math.round(limitBytes / 1e6)} MB, upload memory and all`,
        measured: `${Math.round(peakMemoryBytes / 1e6)} MB`,
        isReached: peakMemoryBytes <= limitBytes,
      },
    ];
  });
}

function checkKeys(report: BenchReport): Target[] {
  const results = report.keys?.result ?? [];
  return Array.from(Map.groupBy(results, ({ place }) => place).values()).flatMap(checkKeysOf);
}

/** Of one place, the few backups first. */
function checkKeysOf([few, many]: readonly KeysResult[]): Target[] {
  if (few === undefined || many === undefined) return [];
  const what = `${many.backups} backups ${many.place === 's3' ? 'in S3' : 'in a folder'}`;
  const growthBytes = Math.max(many.verifyPeakBytes - few.verifyPeakBytes, many.rewrapPeakBytes - few.rewrapPeakBytes);
  const { rewrapMs, mostInFlight, mostFetchesOfAKey: fetches } = many;
  return [
    {
      promise: `rewrap of ${what} takes at most ${maxRewrapMs / 1000} s`,
      measured: `${(rewrapMs / 1000).toFixed(1)} s`,
      isReached: rewrapMs <= maxRewrapMs,
    },
    {
      promise: `verify and rewrap of ${what} take at most ${maxKeysGrowthBytes / 1e6} MB more than those of ${few.backups}`,
      measured: `${Math.round(growthBytes / 1e6)} MB`,
      isReached: growthBytes <= maxKeysGrowthBytes,
    },
    { promise: `one fetch per key for ${what}`, measured: String(fetches), isReached: fetches === 1 },
    ...(mostInFlight === null
      ? []
      : [
          {
            promise: `at most ${maxRequests} requests at once for ${what}`,
            measured: String(mostInFlight),
            isReached: mostInFlight <= maxRequests,
          },
        ]),
  ];
}

function checkUpload(report: BenchReport): Target[] {
  if (report.upload === undefined) return [];
  const { objectBytes, parts, peakMemoryBytes, uploadMemoryBytes } = report.upload.result;
  const what = `an object of ${(objectBytes / 1e9).toFixed(1)} GB and unknown length`;
  const limitBytes = maxMemoryBytes + uploadMemoryBytes;
  const measured = `${Math.round(peakMemoryBytes / 1e6)} MB`;
  return [
    { promise: `${what} has at most ${maxParts} parts`, measured: String(parts), isReached: parts <= maxParts },
    {
      promise: `storing ${what} takes at most ${maxMemoryBytes / 1e6} MB and ${Math.round(uploadMemoryBytes / 1e6)} MB of upload memory`,
      measured,
      isReached: peakMemoryBytes <= limitBytes,
    },
  ];
}
