import { MemoryFolder } from './memory-folder.ts';
import type { BenchOptions } from './options.ts';
import { listParallelCandidates } from './parallel-candidates.ts';
import type { Parallel } from './report.ts';
import { measureCreates, measureRestores, runUnmeasured, sizeOf } from './rounds.ts';
import { databaseSize } from './throughput.ts';
import { createBenchDatabase, type Workbench } from './workbench.ts';

const databaseName = 'bench_parallel';

/** Dumps and restores in several streams, ours and those of others. */
export async function measureParallel(bench: Workbench, options: BenchOptions): Promise<Parallel> {
  const { megabytes, repetitions } = options;
  console.error(`making a database of about ${megabytes} MB`);
  await createBenchDatabase(bench.cluster, { name: databaseName, megabytes });
  using memoryFolder = new MemoryFolder();
  const place = { bench, memoryFolder: memoryFolder.path, database: databaseName };
  const { uncompressed, ours, others } = listParallelCandidates(place);
  // Also brings the database into memory, where every candidate finds it.
  await runUnmeasured(bench, uncompressed.create.command);
  const dumpBytes = sizeOf(uncompressed.output);
  const create = await measureCreates(bench, [uncompressed, ...ours, ...others], options);
  const candidates = [uncompressed, ...ours];
  const restore = await measureRestores(bench, { source: databaseName, candidates }, options);
  const databaseBytes = await databaseSize(bench, databaseName);
  await bench.cluster.dropDatabase(databaseName);
  return { dumpBytes, databaseBytes, repetitions, create, restore };
}
