import { listCandidates } from './candidates.ts';
import type { BenchOptions } from './options.ts';
import type { Throughput } from './report.ts';
import { measureCreates, measureRestores, runUnmeasured, sizeOf } from './rounds.ts';
import { createBenchDatabase, type Workbench } from './workbench.ts';

const sourceName = 'bench';

/** Creates, then restores: every candidate once per round, the next round beginning with another one. */
export async function measureThroughput(bench: Workbench, options: BenchOptions): Promise<Throughput> {
  console.error(`making a database of about ${options.megabytes} MB`);
  await createBenchDatabase(bench.cluster, { name: sourceName, megabytes: options.megabytes });
  const candidates = listCandidates(bench, sourceName);
  const limit = candidates.find(({ name }) => name === 'limit');
  if (limit?.archive === undefined) throw new Error('the limit makes no archive');
  // Also brings the database into memory, where every candidate finds it.
  await runUnmeasured(bench, limit.archive);
  const dumpBytes = sizeOf(limit.output);
  const create = await measureCreates(bench, candidates, options);
  const restore = await measureRestores(bench, { source: sourceName, candidates }, options);
  const databaseBytes = await databaseSize(bench, sourceName);
  return { dumpBytes, databaseBytes, repetitions: options.repetitions, create, restore };
}

/** What PostgreSQL itself says of a database's size. */
export async function databaseSize(bench: Workbench, database: string): Promise<number> {
  const [size] = await bench.cluster.query<{ bytes: string }>(
    database,
    'SELECT pg_database_size(current_database()) AS bytes',
  );
  return Number(size?.bytes);
}
