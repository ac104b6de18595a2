import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { ourCandidate } from './candidates.ts';
import type { BenchOptions } from './options.ts';
import type { Scaling } from './report.ts';
import { measureCreates, measureRestores } from './rounds.ts';
import type { LinkLimits } from './slow-link.ts';
import { createBenchDatabase, type Workbench } from './workbench.ts';

const databaseName = 'bench_scaling';
const script = join(import.meta.dirname, 'serve-slow-link.ts');

/** A server some way off that gives every connection its share: streams, not cores, are the limit. */
const linkLimits: LinkLimits = { latencyMs: 20, bytesPerSecond: 4_000_000 };
/** One is enough where the link sets the times. */
const repetitions = 1;

export const streamCounts = [1, 2, 4, 8] as const;
export type ScalingName = `streams-${(typeof streamCounts)[number]}`;

/** Create and restore with more and more streams, with PostgreSQL behind a slow link. */
export async function measureScaling(bench: Workbench, options: BenchOptions): Promise<Scaling> {
  const megabytes = options.scalingMegabytes;
  console.error(`making a database of about ${megabytes} MB in many tables`);
  await createBenchDatabase(bench.cluster, { name: databaseName, megabytes, script: 'scaling-database.sql' });
  using link = await startLink(bench.cluster.port);
  const candidates = streamCounts.map((jobs) => {
    const name: ScalingName = `streams-${jobs}`;
    return ourCandidate(bench, { name, method: 'aes-256', database: databaseName, jobs, port: link.port });
  });
  const choice = { only: options.only, repetitions };
  const create = await measureCreates(bench, candidates, choice);
  const restore = await measureRestores(bench, { source: databaseName, candidates }, choice);
  await bench.cluster.dropDatabase(databaseName);
  return { megabytes, ...linkLimits, create, restore };
}

async function startLink(targetPort: number): Promise<Disposable & { readonly port: number }> {
  const { latencyMs, bytesPerSecond } = linkLimits;
  const link = fork(script, [targetPort, latencyMs, bytesPerSecond].map(String));
  const exited = once(link, 'exit').then(() => {
    throw new Error('the slow link ended before it began');
  });
  const [port] = (await Promise.race([once(link, 'message'), exited])) as [number];
  exited.catch(() => {}); // at the end of the scope it is meant to
  return { port, [Symbol.dispose]: () => link.disconnect() };
}
