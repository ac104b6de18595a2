import { rmSync } from 'node:fs';
import { listCandidates, type Candidate } from './candidates.ts';
import { measure } from './measure.ts';
import type { BenchOptions } from './options.ts';
import type { MemoryResult } from './report.ts';
import { createBenchDatabase, type Workbench } from './workbench.ts';

/** Peak memory of our own process for a small and a large database, each way, both ciphers. */
export async function measureMemory(bench: Workbench, options: BenchOptions): Promise<MemoryResult[]> {
  const [small, large] = options.memoryMegabytes;
  const peaksOfSmall = await measureSize(bench, small);
  const peaksOfLarge = await measureSize(bench, large);
  return peaksOfSmall.map(({ what, peakMemoryBytes }, index) => ({
    what,
    smallMegabytes: small,
    smallPeakBytes: peakMemoryBytes,
    largeMegabytes: large,
    largePeakBytes: peaksOfLarge[index]?.peakMemoryBytes ?? Number.NaN,
  }));
}

interface Peak {
  readonly what: string;
  readonly peakMemoryBytes: number;
}

async function measureSize(bench: Workbench, megabytes: number): Promise<Peak[]> {
  const source = `bench_${megabytes}`;
  console.error(`making a database of about ${megabytes} MB`);
  await createBenchDatabase(bench.cluster, { name: source, megabytes });
  const peaks: Peak[] = [];
  for (const candidate of listCandidates(bench, source).filter(({ create }) => create.command.isOurs)) {
    peaks.push(...(await measureCandidate(bench, candidate)));
  }
  await bench.cluster.dropDatabase(source);
  return peaks;
}

async function measureCandidate(bench: Workbench, candidate: Candidate): Promise<Peak[]> {
  const context = { env: {}, folder: bench.folder };
  rmSync(candidate.output, { recursive: true, force: true });
  const create = await measure(candidate.create.command, context);
  await bench.cluster.createDatabase('restored');
  const restore = await measure(candidate.restore.command('restored'), context);
  await bench.cluster.dropDatabase('restored');
  const peaks = [
    { what: candidate.create.title, peakMemoryBytes: create.peakMemoryBytes },
    { what: candidate.restore.title, peakMemoryBytes: restore.peakMemoryBytes },
  ];
  for (const { what, peakMemoryBytes } of peaks) console.error(`${what}: ${Math.round(peakMemoryBytes / 1e6)} MB`);
  return peaks;
}
