import { randomBytes, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ObjectStore } from '../src/storage/object-store.ts';
import { openStore } from '../src/storage/open-store.ts';
import { quietContext } from '../test/support/quiet-context.ts';
import { bucket, makeBucket, s3Endpoint } from '../test/support/s3-server.ts';
import { idOf, makeSmallBackup } from '../test/support/small-backups.ts';
import { launcher } from './candidates.ts';
import { CountingProxy } from './counting-proxy.ts';
import { measure, type Measurement } from './measure.ts';
import type { KeysResult } from './report.ts';
import type { Workbench } from './workbench.ts';

/** The first only to compare the memory with. */
const backupCounts = [100, 1000] as const;

/** `keys verify` and `keys rewrap` of many small backups in a folder, and on an S3 server where one is named. */
export async function measureKeys(bench: Workbench): Promise<KeysResult[]> {
  const results: KeysResult[] = [];
  for (const backups of backupCounts) results.push(await measureFolder(bench, backups));
  if ((process.env['LIBRELOG_TEST_S3_ENDPOINT'] ?? '') === '') return results;
  await makeBucket();
  for (const backups of backupCounts) results.push(await measureS3(bench, backups));
  return results;
}

async function measureFolder(bench: Workbench, backups: number): Promise<KeysResult> {
  const url = `file://${join(bench.folder, `store-keys-${backups}`)}`;
  await using store = await openStore(url, {});
  return { place: 'folder', mostInFlight: null, ...(await measurePlace(bench, { store, backups, options: [] })) };
}

async function measureS3(bench: Workbench, backups: number): Promise<KeysResult> {
  await using proxy = await CountingProxy.start(s3Endpoint());
  const url = `s3://${bucket}/${randomUUID()}`;
  await using store = await openStore(url, { s3: { endpoint: s3Endpoint(), region: 'us-east-1' } });
  const options = ['--s3-endpoint', proxy.endpoint, '--s3-region', 'us-east-1'];
  const measured = await measurePlace(bench, { store, backups, options });
  return { place: 's3', ...measured, mostInFlight: proxy.mostInFlight };
}

interface Place {
  readonly store: ObjectStore;
  readonly backups: number;
  /** How the command line reaches the store. */
  readonly options: readonly string[];
}

async function measurePlace(
  bench: Workbench,
  { store, backups, options }: Place,
): Promise<Omit<KeysResult, 'place' | 'mostInFlight'>> {
  const keys = new CountedKeys(join(bench.folder, `keys-${randomUUID()}`));
  console.error(`making ${backups} backups in ${store.url}`);
  for (let number = 0; number < backups; number += 1) {
    const encryption = { method: 'aes-256', keys: [`file:${keys.oldFile}`] } as const;
    await makeSmallBackup({ store, id: idOf(number), encryption }, quietContext());
  }
  const run = async (...args: string[]): Promise<Measurement> => {
    const place = ['--store', store.url, ...options, '--audit-file', join(bench.folder, 'keys-audit.log')];
    const command = { program: process.execPath, args: [launcher, 'keys', ...args, ...place], isOurs: true };
    const measurement = await measure(command, { env: {}, folder: bench.folder });
    const [seconds, megabytes] = [measurement.wallMs / 1000, measurement.peakMemoryBytes / 1e6];
    console.error(`keys ${args[0]} of ${backups}: ${seconds.toFixed(2)} s, ${Math.round(megabytes)} MB`);
    return measurement;
  };
  const verify = await run('verify', '--key', keys.old);
  const fetchedByVerify = keys.countFetches();
  const rewrap = await run('rewrap', '--key', keys.old, '--to-key', keys.new, '--yes');
  const fetchedByRewrap = keys.countFetches();
  await run('verify', '--key', keys.new);
  return {
    backups,
    verifyMs: verify.wallMs,
    rewrapMs: rewrap.wallMs,
    verifyPeakBytes: verify.peakMemoryBytes,
    rewrapPeakBytes: rewrap.peakMemoryBytes,
    mostFetchesOfAKey: Math.max(fetchedByVerify, fetchedByRewrap),
  };
}

/** Two keys that a command gives, which notes each time it is asked. */
class CountedKeys {
  readonly oldFile: string;
  readonly old: string;
  readonly new: string;
  readonly #noteFile: string;

  constructor(folder: string) {
    mkdirSync(folder, { mode: 0o700 });
    this.#noteFile = join(folder, 'fetches');
    for (const name of ['old', 'new'])
      writeFileSync(join(folder, name), randomBytes(32).toString('hex'), { mode: 0o600 });
    const command = (name: string) => `exec:sh -c "echo ${name} >> ${this.#noteFile}; cat ${join(folder, name)}"`;
    this.oldFile = join(folder, 'old');
    this.old = command('old');
    this.new = command('new');
  }

  /** How often the key that was asked for most was asked for since the last call. */
  countFetches(): number {
    if (!existsSync(this.#noteFile)) return 0;
    const fetches = readFileSync(this.#noteFile, 'utf8').trim().split('\n');
    rmSync(this.#noteFile);
    return Math.max(...[...Map.groupBy(fetches, (name) => name).values()].map(({ length }) => length));
  }
}
