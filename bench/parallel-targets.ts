import type { ParallelName } from './parallel-candidates.ts';
import { speedUps } from './plots.ts';
import type { MeasuredCandidate, Parallel, Scaling } from './report.ts';
import type { Target } from './targets.ts';

type Result = MeasuredCandidate<ParallelName>;

const maxCreateRatio = 1.05;
const minGpgRatio = 5;
const maxRestoreRatio = 1.1;
const maxCpuRatio = 1.15;
/** Of the dump; the audit log and the pages of small files come to less. */
const maxOtherWrittenShare = 0.01;
const memoryBytes = 300e6;
/** Of every stream, above that. */
export const memoryOfStreamBytes = 60e6;
const promisedStreams = 4;
const minSpeedUp = 3.5;

/** Streams of the candidates that are ours. */
const streamsOfOurs: Partial<Record<ParallelName, number>> = { 'aes-1': 1, 'aes-2': 2, 'aes-4': 4, 'openpgp-2': 2 };

/** The promises about several streams. */
export function checkParallel(parallel: Parallel): Target[] {
  const { create, restore } = parallel;
  return [
    ...compare(create, 'directory-2', (ratio, title) => ({
      promise: `create takes at most ${maxCreateRatio} × ${title}`,
      measured: ratio.toFixed(2),
      isReached: ratio <= maxCreateRatio,
    })),
    ...compare(create, 'gpg', (ratio, title) => ({
      promise: `create is at least ${minGpgRatio} × as fast as ${title}`,
      measured: (1 / ratio).toFixed(1),
      isReached: 1 / ratio >= minGpgRatio,
    })),
    ...compare(restore, 'uncompressed-2', (ratio, title) => ({
      promise: `restore takes at most ${maxRestoreRatio} × ${title}`,
      measured: ratio.toFixed(2),
      isReached: ratio <= maxRestoreRatio,
    })),
    ...checkCpu(parallel),
    ...checkMemory([...create, ...restore]),
    ...checkScratch(parallel),
  ];
}

function ours(results: readonly Result[]): Result[] {
  return results.filter(({ name }) => streamsOfOurs[name] !== undefined);
}

/** Each of ours with two streams against another one. */
function compare(
  results: readonly Result[],
  otherName: ParallelName,
  judge: (ratio: number, title: string) => Target,
): Target[] {
  const other = results.find(({ name }) => name === otherName);
  if (other === undefined) return [];
  return ours(results)
    .filter(({ name }) => streamsOfOurs[name] === 2)
    .map(({ name, wallMs }) => {
      const target = judge(wallMs / other.wallMs, other.title);
      return { ...target, promise: `${target.promise} (${name})` };
    });
}

function checkCpu({ create, dumpBytes }: Parallel): Target[] {
  const pipe = create.find(({ name }) => name === 'zstd-openssl');
  if (pipe === undefined) return [];
  const perGigabyte = ({ cpuMs }: Result) => `${(cpuMs / 1e3 / (dumpBytes / 1e9)).toFixed(1)} s`;
  return ours(create).map((result) => ({
    promise: `create takes at most ${maxCpuRatio} × the CPU of ${pipe.title} (${perGigabyte(pipe)} per GB) (${result.name})`,
    measured: `${(result.cpuMs / pipe.cpuMs).toFixed(2)}, ${perGigabyte(result)} per GB`,
    isReached: result.cpuMs <= pipe.cpuMs * maxCpuRatio,
  }));
}

/** A folder has no upload that takes memory of its own. */
function checkMemory(results: readonly Result[]): Target[] {
  const byName = Map.groupBy(ours(results), ({ name }) => name);
  return [...byName].map(([name, both]) => {
    const streams = streamsOfOurs[name] ?? 0;
    const maxBytes = memoryBytes + streams * memoryOfStreamBytes;
    const highest = Math.max(...both.map(({ peakMemoryBytes }) => peakMemoryBytes));
    const parts = `${memoryBytes / 1e6} MB and ${memoryOfStreamBytes / 1e6} MB per stream`;
    return {
      promise: `our process stays within ${parts} (${name}: ${maxBytes / 1e6} MB)`,
      measured: `${Math.round(highest / 1e6)} MB`,
      isReached: highest <= maxBytes,
    };
  });
}

function checkScratch({ create, restore, dumpBytes }: Parallel): Target[] {
  const measured = ours([...create, ...restore]);
  if (measured.length === 0) return [];
  const most = Math.max(...measured.map(({ plaintextBytes, otherWrittenBytes }) => plaintextBytes + otherWrittenBytes));
  return [
    {
      promise: `no scratch disk: create and restore write at most ${maxOtherWrittenShare * 100} % of the dump to disks beside the backup`,
      measured: `${(most / 1e6).toFixed(1)} MB`,
      isReached: most <= dumpBytes * maxOtherWrittenShare,
    },
  ];
}

/** The promises about more and more streams behind a slow link. */
export function checkScaling(scaling: Scaling): Target[] {
  return (['create', 'restore'] as const).flatMap((direction) => {
    const speedUp = new Map(speedUps(scaling, direction)).get(promisedStreams);
    if (speedUp === undefined) return [];
    const promise = `${direction} behind a slow link is with ${promisedStreams} streams at least ${minSpeedUp} × as fast as with one`;
    return [{ promise, measured: speedUp.toFixed(2), isReached: speedUp >= minSpeedUp }];
  });
}
