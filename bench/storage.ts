import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { FaultProxy } from '../test/support/fault-proxy.ts';
import { bucket, makeBucket, s3Endpoint } from '../test/support/s3-server.ts';
import { launcher } from './candidates.ts';
import { measure, type Command, type Measurement } from './measure.ts';
import type { BenchOptions } from './options.ts';
import type { StorageResult } from './report.ts';
import { median } from './statistics.ts';
import { createBenchDatabase, type Workbench } from './workbench.ts';

const databaseName = 'bench_storage';
const restoredName = 'bench_storage_restored';

/** Added to every request: an S3 service on another continent. */
export const latencyMs = 40;

export const storageNames = [
  'create folder',
  'create s3',
  'create near',
  'create far',
  'restore near',
  'restore far',
  'create s3 2',
  'create s3 4',
  'restore s3 4',
] as const;
export type StorageName = (typeof storageNames)[number];

/**
 * Create and restore with an S3 server on this machine (`LIBRELOG_TEST_S3_ENDPOINT`, see test/servers), straight and
 * through a proxy that adds nothing ("near") or a delay to every request ("far"). A restore of one stream writes the dump
 * to a file: into a database it would measure PostgreSQL. Those of several streams are there for their memory.
 */
export async function measureStorage(bench: Workbench, options: BenchOptions): Promise<StorageResult[]> {
  await makeBucket();
  console.error(`making a database of about ${options.megabytes} MB`);
  await createBenchDatabase(bench.cluster, { name: databaseName, megabytes: options.megabytes });
  await using near = await FaultProxy.start(Number(new URL(s3Endpoint()).port));
  await using far = await FaultProxy.start(Number(new URL(s3Endpoint()).port));
  far.latencyMs = latencyMs;
  const commands = listCommands(bench, { near: near.endpoint, far: far.endpoint });
  const runs = new Map<StorageName, Measurement[]>(storageNames.map((name) => [name, []]));
  for (let round = 1; round <= options.repetitions; round += 1) {
    for (const name of storageNames) {
      const measurement = await measure(commands[name](round), { env: {}, folder: bench.folder });
      await bench.cluster.dropDatabase(restoredName);
      runs.get(name)?.push(measurement);
      console.error(`${name} ${round}/${options.repetitions}: ${(measurement.wallMs / 1000).toFixed(2)} s`);
    }
  }
  await bench.cluster.dropDatabase(databaseName);
  return [...runs].map(([name, measurements]) => toResult(name, measurements));
}

type Endpoints = Readonly<Record<'near' | 'far', string>>;

/** By round: every create goes to a prefix of its own, and the restores of a round read what its create "near" made. */
function listCommands(bench: Workbench, proxies: Endpoints): Record<StorageName, (round: number) => Command> {
  const prefix = randomUUID();
  const key = ['--key', `file:${bench.keys.aesFile}`];
  const folder = join(bench.folder, 'store-storage');
  const run = (...args: string[]): Command => ({ program: process.execPath, args: [launcher, ...args], isOurs: true });
  const create = (jobs: number, store: readonly string[]) =>
    run('create', '--database', bench.cluster.url(databaseName), '--jobs', String(jobs), ...key, ...store);
  const s3 = (endpoint: string, place: string) => {
    const server = ['--s3-endpoint', endpoint, '--s3-region', 'us-east-1'];
    return ['--store', `s3://${bucket}/${prefix}/${place}`, ...server];
  };
  const restore = (endpoint: string, round: number) => {
    const output = join(bench.folder, 'restored.dump');
    return run('restore', 'latest', ...key, ...s3(endpoint, `near-${round}`), '--output', output);
  };
  return {
    'create folder': () => {
      rmSync(folder, { recursive: true, force: true });
      return create(1, ['--store', `file://${folder}`]);
    },
    'create s3': (round) => create(1, s3(s3Endpoint(), `straight-${round}`)),
    'create near': (round) => create(1, s3(proxies.near, `near-${round}`)),
    'create far': (round) => create(1, s3(proxies.far, `far-${round}`)),
    'restore near': (round) => restore(proxies.near, round),
    'restore far': (round) => restore(proxies.far, round),
    'create s3 2': (round) => create(2, s3(s3Endpoint(), `two-${round}`)),
    'create s3 4': (round) => create(4, s3(s3Endpoint(), `four-${round}`)),
    'restore s3 4': (round) => {
      const target = ['--target', bench.cluster.url(restoredName), '--create-db', '--jobs', '4'];
      return run('restore', 'latest', ...key, ...s3(s3Endpoint(), `four-${round}`), ...target);
    },
  };
}

function toResult(name: StorageName, runs: readonly Measurement[]): StorageResult {
  const walls = runs.map(({ wallMs }) => wallMs);
  return {
    name,
    wallMs: median(walls),
    fastestMs: Math.min(...walls),
    slowestMs: Math.max(...walls),
    peakMemoryBytes: Math.max(...runs.map(({ peakMemoryBytes }) => peakMemoryBytes)),
  };
}
