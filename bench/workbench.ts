import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startCluster, type Cluster } from '../test/support/postgres-cluster.ts';
import { isInstalled } from './machine.ts';

/**
 * Durable, unlike the clusters of the tests: a restore that never waits for the disk would flatter everybody.
 * Without autovacuum and timed checkpoints no candidate pays for the one before it.
 */
export const serverSettings: Readonly<Record<string, string>> = {
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  shared_buffers: '1GB',
  maintenance_work_mem: '256MB',
  max_wal_size: '8GB',
  checkpoint_timeout: '1h',
  autovacuum: 'off',
};

export interface Keys {
  /** 32 bytes in base64. */
  readonly aesFile: string;
  readonly certificateFile: string;
  readonly privateKeyFile: string;
  /** Home of gpg with the same key pair. */
  readonly gnupgHome: string;
  readonly opensslPasswordFile: string;
  /** `null` where age is not installed. */
  readonly age: { readonly identityFile: string; readonly recipient: string } | null;
}

/** Everything that one run needs, in the cluster's folder on one disk. It vanishes at the end, interrupted or not. */
export interface Workbench extends AsyncDisposable {
  readonly folder: string;
  readonly cluster: Cluster;
  readonly keys: Keys;
}

export async function openWorkbench(parentFolder: string): Promise<Workbench> {
  const missing = ['bash', 'gpg', 'openssl', 'gzip', 'zstd'].filter(
    (tool) => !isInstalled(tool, versionArgument(tool)),
  );
  if (missing.length > 0) throw new Error(`the bench compares with ${missing.join(', ')}: install that first`);
  mkdirSync(parentFolder, { recursive: true });
  const cluster = await startCluster({ parentFolder, settings: serverSettings });
  const folder = join(cluster.folder, 'bench');
  mkdirSync(folder, { mode: 0o700 });
  const keys = makeKeys(folder);
  return {
    folder,
    cluster,
    keys,
    [Symbol.asyncDispose]: async () => {
      stopAgent(keys);
      await cluster[Symbol.asyncDispose]();
    },
  };
}

function versionArgument(tool: string): string {
  return tool === 'openssl' ? 'version' : '--version';
}

export interface BenchDatabase {
  readonly name: string;
  /** About so many MB of dump. */
  readonly megabytes: number;
  /** The mixed database by default. */
  readonly script?: string;
}

export async function createBenchDatabase(cluster: Cluster, database: BenchDatabase): Promise<void> {
  const { name, megabytes, script = 'database.sql' } = database;
  await cluster.createDatabase(name);
  const sql = readFileSync(join(import.meta.dirname, script), 'utf8');
  await cluster.runSql(name, sql, { megabytes: String(megabytes) });
}

/** The same OpenPGP pair for gpg and for us, made by gpg: Ed25519 and Curve25519, without a passphrase. */
function makeKeys(folder: string): Keys {
  const gnupgHome = join(folder, 'gnupg');
  mkdirSync(gnupgHome, { mode: 0o700 });
  const gpg = (...args: string[]) =>
    execFileSync('gpg', ['--homedir', gnupgHome, '--batch', '--quiet', '--passphrase', '', ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  gpg('--quick-generate-key', 'Bench <bench@example.com>', 'future-default', 'default', 'never');
  return {
    aesFile: writeSecret(join(folder, 'aes.key'), randomBytes(32).toString('base64')),
    certificateFile: writeSecret(join(folder, 'certificate.asc'), gpg('--armor', '--export')),
    privateKeyFile: writeSecret(join(folder, 'private-key.asc'), gpg('--armor', '--export-secret-keys')),
    gnupgHome,
    opensslPasswordFile: writeSecret(join(folder, 'openssl-password'), randomBytes(24).toString('hex')),
    age: makeAgeKey(folder),
  };
}

function writeSecret(path: string, text: string): string {
  writeFileSync(path, `${text}\n`, { mode: 0o600 });
  return path;
}

function makeAgeKey(folder: string): Keys['age'] {
  if (!isInstalled('age')) return null;
  const identityFile = join(folder, 'age.key');
  execFileSync('age-keygen', ['--output', identityFile], { stdio: 'ignore' });
  const recipient = execFileSync('age-keygen', ['-y', identityFile], { encoding: 'utf8' }).trim();
  return { identityFile, recipient };
}

/** gpg starts an agent per home that outlives it. */
function stopAgent(keys: Keys): void {
  execFileSync('gpgconf', ['--homedir', keys.gnupgHome, '--kill', 'gpg-agent'], { stdio: 'ignore' });
}
