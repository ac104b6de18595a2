import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { startCluster, type Cluster } from '../support/postgres-cluster.ts';
import type { Narrator } from './narrator.ts';

const root = join(import.meta.dirname, '..', '..');
const launcher = join(root, 'bin', 'librelog-backup.js');

/** Where the demo plays: a throw-away PostgreSQL, an empty folder that is the working directory, and a shell. */
export class DemoStage implements AsyncDisposable {
  readonly cluster: Cluster;
  readonly folder: string;
  readonly #narrator: Narrator;

  constructor(cluster: Cluster, narrator: Narrator) {
    this.cluster = cluster;
    this.folder = join(cluster.folder, 'demo');
    this.#narrator = narrator;
    mkdirSync(this.folder, { mode: 0o700 });
  }

  static async open(narrator: Narrator): Promise<DemoStage> {
    if (!existsSync(join(root, 'dist', 'cli', 'main.js')))
      throw new Error('dist is missing: run `npm run build` first');
    return new DemoStage(await startCluster(), narrator);
  }

  /** Address without the password, which libpq and we take from PGPASSWORD. */
  url(database: string): string {
    const { host, port, superuser } = this.cluster;
    return `postgresql://${superuser.user}@${host}:${port}/${database}`;
  }

  /** The store of the demo; every command finds it in LIBRELOG_BACKUP_STORE. */
  get storeUrl(): string {
    return `file://${join(this.folder, 'store')}`;
  }

  /** Shows `librelog-backup ARGS`, runs it, shows what it printed. */
  async run(...args: readonly string[]): Promise<void> {
    this.#narrator.command(['librelog-backup', ...args].join(' '));
    const startedAt = performance.now();
    const output = await this.#execute(process.execPath, [launcher, ...args]);
    this.#narrator.output(output, performance.now() - startedAt);
  }

  /** Runs `librelog-backup ARGS --json` unseen. */
  async ask(...args: readonly string[]): Promise<unknown> {
    return JSON.parse(await this.#execute(process.execPath, [launcher, ...args, '--json']));
  }

  /** Shows and runs a line of bash in which every member of a pipe must succeed. */
  async shell(line: string): Promise<void> {
    this.#narrator.command(line);
    const startedAt = performance.now();
    const output = await this.#execute('bash', ['-c', `set -euo pipefail; ${line}`]);
    this.#narrator.output(output, performance.now() - startedAt);
  }

  async #execute(program: string, args: readonly string[]): Promise<string> {
    return await new Promise((resolve, reject) => {
      const options = { cwd: this.folder, env: this.#env(), maxBuffer: 64 * 1024 * 1024 };
      execFile(program, [...args], options, (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(`exit code ${error.code ?? 'none'}: ${stderr.trim()}`, { cause: error }));
      });
    });
  }

  #env(): NodeJS.ProcessEnv {
    const folders = [dirname(process.execPath), this.cluster.binFolder, process.env['PATH'] ?? ''];
    return {
      ...process.env,
      PATH: folders.join(delimiter),
      PGPASSWORD: this.cluster.superuser.password,
      LIBRELOG_BACKUP_STORE: this.storeUrl,
      GNUPGHOME: join(this.folder, 'gnupg'),
      // The audit log of the demo goes with it.
      XDG_STATE_HOME: join(this.folder, 'state'),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gnupgHome = join(this.folder, 'gnupg');
    // gpg's agent would outlive us.
    if (existsSync(gnupgHome)) execFileSync('gpgconf', ['--homedir', gnupgHome, '--kill', 'gpg-agent']);
    await this.cluster[Symbol.asyncDispose]();
  }
}

/** Whether a program is in PATH. */
export function isInstalled(program: string): boolean {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return folders.some((folder) => folder !== '' && existsSync(join(folder, program)));
}
