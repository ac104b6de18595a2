import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, escapeIdentifier, type QueryResultRow } from 'pg';
import { serverAccount } from './postgres-account.ts';
import { requirePostgres } from './postgres-binaries.ts';
import {
  dataFolder,
  initServer,
  launchServer,
  stopServer,
  stopServerNow,
  type RunningServer,
  type ServerPlace,
  type StopMode,
} from './postgres-server.ts';

/** Speed for tests: nobody needs this data after a power cut. Commits still survive a crash of the server alone. */
const fastAndCareless: Readonly<Record<string, string>> = {
  fsync: 'off',
  full_page_writes: 'off',
  shared_buffers: '64MB',
  max_wal_size: '1GB',
  autovacuum: 'off',
};

const ownSettings: Readonly<Record<string, string>> = { timezone: 'UTC', log_timezone: 'UTC', lc_messages: 'C' };

export interface ClusterOptions {
  /** PostgreSQL's major version; the highest one installed by default. */
  readonly major?: number;
  /** Folder with the server's programs, for a server that is not installed in the usual places. */
  readonly binFolder?: string;
  /** Folder with the client programs; those that came with the server, else the highest installed ones, by default. */
  readonly clientFolder?: string;
  /** `trust` lets everybody in without a password; `scram-sha-256` by default, on TCP and on the socket. */
  readonly auth?: 'scram-sha-256' | 'trust';
  /** Lines for postgresql.conf, instead of the fast and careless defaults where both name a setting. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Folder to make the cluster's own folder in; the system's folder for temporary files by default. */
  readonly parentFolder?: string;
}

export interface Login {
  readonly user: string;
  readonly password: string;
}

/**
 * Makes and starts a throw-away PostgreSQL cluster: `await using cluster = await startCluster()`. Works as root and as
 * anybody else, many at a time. It ends with the scope, and with this process at the latest, whatever ends it.
 */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const binFolder = options.binFolder ?? (await requirePostgres(options.major)).folder;
  const folder = mkdtempSync(join(options.parentFolder ?? tmpdir(), 'lb-pg-'));
  const place: ServerPlace = { folder, binFolder, account: serverAccount() };
  const superuser: Login = { user: 'postgres', password: randomBytes(12).toString('hex') };
  try {
    const settings = { ...ownSettings, ...fastAndCareless, ...options.settings };
    await initServer(place, { ...superuser, auth: options.auth ?? 'scram-sha-256', settings });
    const clientFolder = options.clientFolder ?? (await findClients(binFolder));
    return new Cluster(place, { superuser, clientFolder }, await launchServer(place));
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

/** The server's own client programs; those of the highest major installed for a server that came without. */
async function findClients(binFolder: string): Promise<string> {
  return existsSync(join(binFolder, 'psql')) ? binFolder : (await requirePostgres()).folder;
}

interface Access {
  readonly superuser: Login;
  readonly clientFolder: string;
}

/** A running throw-away cluster. Listens on 127.0.0.1 and on a Unix socket in its own folder. */
export class Cluster implements AsyncDisposable {
  readonly host = '127.0.0.1';
  readonly port: number;
  readonly superuser: Login;
  /** Folder of the client programs: pg_dump, pg_restore, psql. */
  readonly binFolder: string;
  readonly #place: ServerPlace;
  #server: RunningServer;

  constructor(place: ServerPlace, access: Access, server: RunningServer) {
    this.#place = place;
    this.#server = server;
    this.superuser = access.superuser;
    this.port = server.port;
    this.binFolder = access.clientFolder;
    endWithProcess(this);
  }

  /** The cluster's own folder: whatever is put there vanishes with it. */
  get folder(): string {
    return this.#place.folder;
  }

  /** Where the server keeps its data. */
  get dataFolder(): string {
    return dataFolder(this.#place);
  }

  /** Folder that holds the Unix socket; `PGHOST` may be this. */
  get socketFolder(): string {
    return this.#place.folder;
  }

  /** Process id of the postmaster. */
  get pid(): number {
    return this.#server.pid;
  }

  /** Connection URL over TCP, password included. */
  url(database: string, login: Login = this.superuser): string {
    const userInfo = `${encodeURIComponent(login.user)}:${encodeURIComponent(login.password)}`;
    return `postgresql://${userInfo}@${this.host}:${this.port}/${encodeURIComponent(database)}`;
  }

  /** libpq's variables for a child process. */
  env(database = 'postgres', login: Login = this.superuser): Record<string, string> {
    return {
      PGHOST: this.host,
      PGPORT: String(this.port),
      PGUSER: login.user,
      PGPASSWORD: login.password,
      PGDATABASE: database,
    };
  }

  /** Makes a database: empty (but for what `template1` holds), or a copy of `from`, which nobody may be connected to. */
  async createDatabase(name: string, options: { readonly from?: string } = {}): Promise<void> {
    const template = escapeIdentifier(options.from ?? 'template0');
    await this.query('postgres', `CREATE DATABASE ${escapeIdentifier(name)} TEMPLATE ${template}`);
  }

  /** Removes a database, sessions in it or not; one that is not there is fine. */
  async dropDatabase(name: string): Promise<void> {
    await this.query('postgres', `DROP DATABASE IF EXISTS ${escapeIdentifier(name)} WITH (FORCE)`);
  }

  /**
   * Runs a script through psql, stopping at its first error; gives psql's standard output (unaligned, tuples only).
   * `variables` are psql's own: `:name`, `:'name'`, `:"name"` in the script.
   */
  async runSql(
    database: string,
    sqlText: string | Buffer,
    variables: Readonly<Record<string, string>> = {},
  ): Promise<string> {
    const args = ['--no-psqlrc', '--quiet', '--no-align', '--tuples-only', '--file', '-', '--set', 'ON_ERROR_STOP=1'];
    for (const [name, value] of Object.entries(variables)) args.push('--set', `${name}=${value}`);
    const env = { ...process.env, ...this.env(database), PGOPTIONS: '-c client_min_messages=warning' };
    return await new Promise((resolve, reject) => {
      const options = { env, maxBuffer: 256 * 1024 * 1024 };
      const psql = execFile(join(this.binFolder, 'psql'), args, options, (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(`psql failed in database "${database}": ${stderr.trim()}`, { cause: error }));
      });
      psql.stdin?.on('error', () => {}); // psql stopped reading at an error, which it reports itself
      psql.stdin?.end(sqlText);
    });
  }

  /** Runs one statement (or several without parameters) and gives the rows, in pg's own types. */
  async query<Row extends QueryResultRow = QueryResultRow>(
    database: string,
    sql: string,
    values: readonly unknown[] = [],
  ): Promise<Row[]> {
    const client = await this.connect(database);
    try {
      return (await client.query<Row>(sql, values.length === 0 ? undefined : [...values])).rows;
    } finally {
      await client.end();
    }
  }

  /** A connected client, for tests that need a session of their own. The caller ends it. */
  async connect(database: string, login: Login = this.superuser): Promise<Client> {
    const client = new Client({ host: this.host, port: this.port, database, ...login });
    await client.connect();
    return client;
  }

  /** Stops the server and keeps its files: `start` brings it back on the same port. */
  async stop(mode: StopMode): Promise<void> {
    await stopServer(this.#server, mode);
  }

  /** Starts the server again after `stop`. */
  async start(): Promise<void> {
    this.#server = await launchServer(this.#place, this.port);
  }

  /** Stops the server and removes its files. */
  async [Symbol.asyncDispose](): Promise<void> {
    await stopServer(this.#server, 'immediate');
    this.#removeFolder();
  }

  /** The same from an exit handler, which cannot wait for promises. */
  disposeNow(): void {
    stopServerNow(this.#place, this.#server);
    this.#removeFolder();
  }

  #removeFolder(): void {
    rmSync(this.#place.folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
    runningClusters.delete(this);
  }
}

const runningClusters = new Set<Cluster>();
const endingSignals: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];
let watchesExit = false;

function endWithProcess(cluster: Cluster): void {
  runningClusters.add(cluster);
  if (watchesExit) return;
  watchesExit = true;
  process.once('exit', disposeAll);
  for (const signal of endingSignals) process.once(signal, endBySignal);
}

function disposeAll(): void {
  for (const cluster of runningClusters) cluster.disposeNow();
}

/** Cleans up, then lets the signal do what it does to a program without a handler. */
function endBySignal(signal: NodeJS.Signals): void {
  disposeAll();
  process.kill(process.pid, signal);
}
