import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { Manifest } from '../../src/catalog/manifest.ts';
import { startCluster, type Cluster, type ClusterOptions } from './postgres-cluster.ts';
import { assertNoSecretIn } from './secret-forms.ts';
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

/** Arguments, or one text with blanks between them. */
export type Command = string | readonly string[];

/** Arguments that name the story's own AES key. */
export const aesKey = '--key file:aes.key';

function toArguments(command: Command): readonly string[] {
  return typeof command === 'string' ? command.split(' ').filter((text) => text !== '') : command;
}

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
  /**
   * What no run may show - print, hand to a child, write to the store or the audit log -, by the name of its file or
   * variable: everything private that was written or given and is long enough to be told.
   */
  readonly #secrets: Record<string, string | Uint8Array> = {};

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
      XDG_STATE_HOME: `${folder}.state`,
      LIBRELOG_BACKUP_STORE: this.storeUrl,
      ...server,
    };
  }

  /** Beside the folder, so that what a command leaves there is its own. */
  get auditFile(): string {
    return join(`${this.folder}.state`, 'librelog-backup', 'audit.jsonl');
  }

  get storeUrl(): string {
    return `file://${this.storeFolder}`;
  }

  /** Writes a private file below `folder`; gives its path. */
  write(name: string, content: string | Uint8Array, mode = 0o600): string {
    const path = join(this.folder, name);
    if (/key|pass|secret/i.test(name) && content.length >= 16) {
      this.#secrets[name] = typeof content === 'string' ? content.trim() : content;
    }
    writeFileSync(path, content, { mode });
    return path;
  }

  /** `options.env` is added to the story's own. */
  async run(command: Command, options: StoryOptions = {}): Promise<CliRun> {
    return this.#assertDiscreet(await runCli(toArguments(command), this.#complete(options)));
  }

  start(command: Command, options: StoryOptions = {}): RunningCli {
    const running = startCli(toArguments(command), this.#complete(options));
    return { ...running, ended: running.ended.then((run) => this.#assertDiscreet(run)) };
  }

  /** Runs what has to work, and gives what it printed. */
  async succeed(command: Command, options: StoryOptions = {}): Promise<string> {
    const run = await this.run(command, options);
    if (run.code !== 0) throw new Error(`${toArguments(command).join(' ')}: exit code ${run.code}: ${run.stderr}`);
    return run.stdout;
  }

  /** The same, as JSON. */
  async ask<Result>(command: Command, options: StoryOptions = {}): Promise<Result> {
    const env = { ...options.env, LIBRELOG_BACKUP_JSON: 'yes' };
    return JSON.parse(await this.succeed(command, { ...options, env })) as Result;
  }

  /** Backs up `database` with `aes.key`, unless `args` say otherwise; gives the manifest as it is in the store. */
  async create(database: string, args: Command = aesKey, options: StoryOptions = {}): Promise<Manifest> {
    const create = ['create', '--database', database, ...toArguments(args)];
    const { backups } = await this.ask<{ backups: readonly (Manifest & { store: string })[] }>(create, options);
    const [backup] = backups;
    if (backup === undefined) throw new Error('create made no backup');
    const { store: _, ...manifest } = backup;
    return manifest;
  }

  /** Path in the store of a backup's only object. */
  objectPath(manifest: Manifest): string {
    return join(this.storeFolder, manifest.label, manifest.id, manifest.objects[0]?.name ?? '');
  }

  manifestPath(manifest: Manifest): string {
    return join(this.storeFolder, manifest.label, manifest.id, 'manifest.json');
  }

  #assertDiscreet(run: CliRun): CliRun {
    assertNoSecretIn(run.children, this.#secrets, 'arguments or environment of a child');
    assertNoSecretIn(run.stdout, this.#secrets, 'stdout');
    assertNoSecretIn(run.stderr, this.#secrets, 'stderr');
    for (const path of [...entriesIn(this.storeFolder), ...entriesIn(`${this.folder}.state`)]) {
      assertNoSecretIn(path, this.#secrets, 'a name in the store or among the audit logs');
      if (/\.jsonl?$/.test(path)) assertNoSecretIn(readIfThere(path), this.#secrets, path);
    }
    return run;
  }

  #complete(options: StoryOptions): CliOptions {
    for (const [name, value] of Object.entries(options.env ?? {})) {
      const isReference = /^[a-z0-9-]+:/.test(value);
      if (/(key|pass|password|secret|token)$/i.test(name) && value.length >= 16 && !isReference) {
        this.#secrets[name] = value;
      }
    }
    return { cwd: this.folder, ...options, env: { ...this.env, ...options.env } };
  }
}

/** Paths below a folder; none where there is no folder, or it may not be read. */
function entriesIn(folder: string): string[] {
  try {
    return readdirSync(folder, { recursive: true }).map((name) => join(folder, String(name)));
  } catch {
    return [];
  }
}

/** Another run may have removed the file meanwhile, and a test may have made it unreadable. */
function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
