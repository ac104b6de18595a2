import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { Manifest } from '../../src/catalog/manifest.ts';
import { startCluster, type Cluster, type ClusterOptions } from './postgres-cluster.ts';
import { runCli, startCli, type CliOptions, type CliRun, type RunningCli } from './run-cli.ts';

/** What all stories of one test file share: a cluster, and a folder for everything that is written. */
export interface StoryTeller extends AsyncDisposable {
  readonly cluster: Cluster;
  /** A new story: an empty folder, an empty store, a database name that nobody else has. */
  story(): Story;
}

export async function openStoryTeller(options: ClusterOptions = {}): Promise<StoryTeller> {
  const cluster = await startCluster(options);
  const folder = mkdtempSync(join(tmpdir(), 'lb-story-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  let stories = 0;
  return {
    cluster,
    story: () => {
      stories += 1;
      return new Story(cluster, join(folder, String(stories)), `target_${stories}`);
    },
    [Symbol.asyncDispose]: async () => {
      rmSync(folder, { recursive: true, force: true });
      await cluster[Symbol.asyncDispose]();
    },
  };
}

export type StoryOptions = Partial<CliOptions>;

/**
 * One user's surroundings: a working directory, a store in `LIBRELOG_BACKUP_STORE`, the way to the cluster in PG*
 * variables, a key file `aes.key`. Relative paths in arguments are below `folder`.
 */
export class Story {
  readonly cluster: Cluster;
  readonly folder: string;
  /** Not made yet: the first backup does. */
  readonly storeFolder: string;
  /** Name of a database that is not there yet. */
  readonly target: string;
  readonly env: Readonly<Record<string, string>>;

  constructor(cluster: Cluster, folder: string, target: string) {
    this.cluster = cluster;
    this.folder = folder;
    this.storeFolder = join(folder, 'store');
    this.target = target;
    mkdirSync(folder);
    this.write('aes.key', randomBytes(32).toString('hex'));
    const { PGDATABASE: _none, ...server } = cluster.env();
    this.env = {
      PATH: ['/usr/bin', '/bin', cluster.binFolder].join(delimiter),
      HOME: folder,
      LIBRELOG_BACKUP_STORE: this.storeUrl,
      ...server,
    };
  }

  get storeUrl(): string {
    return `file://${this.storeFolder}`;
  }

  /** Writes a private file below `folder`; gives its path. */
  write(name: string, content: string | Uint8Array, mode = 0o600): string {
    const path = join(this.folder, name);
    writeFileSync(path, content, { mode });
    return path;
  }

  /** `options.env` is added to the story's own. */
  async run(args: readonly string[], options: StoryOptions = {}): Promise<CliRun> {
    return await runCli(args, this.#complete(options));
  }

  start(args: readonly string[], options: StoryOptions = {}): RunningCli {
    return startCli(args, this.#complete(options));
  }

  /** Runs what has to work, and gives what it printed. */
  async succeed(...args: readonly string[]): Promise<string> {
    const run = await this.run(args);
    if (run.code !== 0) throw new Error(`${args.join(' ')}: exit code ${run.code}: ${run.stderr}`);
    return run.stdout;
  }

  /** The same with `--json`. */
  async ask<Result>(...args: readonly string[]): Promise<Result> {
    return JSON.parse(await this.succeed(...args, '--json')) as Result;
  }

  /** Backs up `database` with `aes.key`, unless `args` say otherwise. */
  async create(database: string, args: readonly string[] = aesKey): Promise<Manifest> {
    const { backups } = await this.ask<{ backups: readonly Manifest[] }>('create', '--database', database, ...args);
    const [manifest] = backups;
    if (manifest === undefined) throw new Error('create made no backup');
    return manifest;
  }

  /** Path in the store of a backup's only object. */
  objectPath(manifest: Manifest): string {
    return join(this.storeFolder, manifest.label, manifest.id, manifest.objects[0]?.name ?? '');
  }

  manifestPath(manifest: Manifest): string {
    return join(this.storeFolder, manifest.label, manifest.id, 'manifest.json');
  }

  #complete(options: StoryOptions): CliOptions {
    return { cwd: this.folder, ...options, env: { ...this.env, ...options.env } };
  }
}

/** Arguments that name the story's own AES key. */
export const aesKey: readonly string[] = ['--key', 'file:aes.key'];
