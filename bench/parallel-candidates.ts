import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { listCandidates, ourCandidate, type Candidate, type Creator } from './candidates.ts';
import { isInstalled } from './machine.ts';
import { pipe, type Command } from './measure.ts';
import type { Workbench } from './workbench.ts';

export type ParallelName =
  | 'aes-1'
  | 'aes-2'
  | 'aes-4'
  | 'openpgp-2'
  | 'uncompressed-2'
  | 'directory-1'
  | 'directory-2'
  | 'gpg-files'
  | 'gpg'
  | 'zstd-openssl'
  | 'pg-back'
  | 'restic'
  | 'pgbackrest';

export interface ParallelPlace {
  readonly bench: Workbench;
  /** On a tmpfs, for dumps that lie there unencrypted. */
  readonly memoryFolder: string;
  readonly database: string;
}

export interface ParallelCandidates {
  /** `pg_restore -j` from memory: what restores are compared with, and whose dump has the bytes that count. */
  readonly uncompressed: Candidate<ParallelName>;
  readonly ours: readonly Candidate<ParallelName>[];
  /** Ways to back up that the restores are not compared with; optional ones only where they are installed. */
  readonly others: readonly Creator<ParallelName>[];
}

export function listParallelCandidates(place: ParallelPlace): ParallelCandidates {
  const { bench, database } = place;
  const aes = { method: 'aes-256', database } as const;
  return {
    uncompressed: uncompressed(place),
    ours: [
      ourCandidate(bench, { ...aes, name: 'aes-1', jobs: 1 }),
      ourCandidate(bench, { ...aes, name: 'aes-2', jobs: 2 }),
      ourCandidate(bench, { ...aes, name: 'aes-4', jobs: 4 }),
      ourCandidate(bench, { name: 'openpgp-2', method: 'openpgp', database, jobs: 2 }),
    ],
    others: [
      directory(place, 1),
      directory(place, 2),
      gpgFiles(place),
      gpg(place),
      zstdOpenssl(place),
      ...(isInstalled('pg_back', '--version') ? [pgBack(place)] : []),
      ...(isInstalled('restic', 'version') ? [restic(place)] : []),
      ...(isInstalled('pgbackrest', 'version') ? [pgBackRest(place)] : []),
    ],
  };
}

function uncompressed({ bench, memoryFolder, database }: ParallelPlace): Candidate<ParallelName> {
  const { cluster } = bench;
  const output = join(memoryFolder, 'uncompressed');
  return {
    name: 'uncompressed-2',
    create: {
      title: '`pg_dump -Fd -j2 -Z0` to a tmpfs',
      command: dumpDirectory(bench, [cluster.url(database), '-j2', '-Z0', '--file', output]),
    },
    restore: {
      title: '`pg_restore -j2` from an uncompressed directory on a tmpfs',
      command: (target) => {
        const args = ['--exit-on-error', '-j2', '--dbname', cluster.url(target), output];
        return { program: join(cluster.binFolder, 'pg_restore'), args, isOurs: false };
      },
    },
    output,
    plaintext: output,
  };
}

function directory({ bench, memoryFolder, database }: ParallelPlace, jobs: 1 | 2): Creator<ParallelName> {
  const compression = fastestCompression(bench);
  const output = join(memoryFolder, 'compressed');
  return {
    name: `directory-${jobs}`,
    create: {
      title: `\`pg_dump -Fd -j${jobs} ${compression}\` to a tmpfs`,
      command: dumpDirectory(bench, [bench.cluster.url(database), `-j${jobs}`, compression, '--file', output]),
    },
    output,
    plaintext: output,
  };
}

function dumpDirectory({ cluster }: Workbench, args: readonly string[]): Command {
  return { program: join(cluster.binFolder, 'pg_dump'), args: ['-Fd', ...args], isOurs: false };
}

/** pg_dump knows only gzip before PostgreSQL 16. */
function fastestCompression({ cluster }: Workbench): string {
  const version = execFileSync(join(cluster.binFolder, 'pg_dump'), ['--version'], { encoding: 'utf8' });
  return Number(/(\d+)/.exec(version)?.[1]) >= 16 ? '--compress=lz4' : '-Z1';
}

/** What a parallel dump costs those who want it encrypted: a dump in the clear on the disk first. */
function gpgFiles({ bench, database }: ParallelPlace): Creator<ParallelName> {
  const { cluster, keys, folder } = bench;
  const compression = fastestCompression(bench);
  const plaintext = join(folder, 'plain-files');
  const output = join(folder, 'gpg-files');
  const dump = `${cluster.binFolder}/pg_dump -Fd -j2 ${compression} --file '${plaintext}' '${cluster.url(database)}'`;
  const gpg = `gpg --homedir '${keys.gnupgHome}' --batch --quiet --trust-model always --encrypt`;
  const encrypt = `${gpg} --recipient bench@example.com --output '${output}/{}.gpg' '${plaintext}/{}'`;
  return {
    name: 'gpg-files',
    create: {
      title: `\`pg_dump -Fd -j2 ${compression}\`, then \`gpg --encrypt\` of every file, two at a time`,
      command: pipe(`${dump}; mkdir '${output}'; ls '${plaintext}' | xargs -P 2 -I {} ${encrypt}`),
    },
    output,
    plaintext,
  };
}

function gpg({ bench, database }: ParallelPlace): Creator<ParallelName> {
  const candidate = listCandidates(bench, database).find(({ name }) => name === 'gpg');
  if (candidate === undefined) throw new Error('no candidate with gpg');
  return { ...candidate, name: 'gpg' };
}

/** The cheapest pipe that compresses and encrypts as much as we do. */
function zstdOpenssl({ bench, database }: ParallelPlace): Creator<ParallelName> {
  const { cluster, keys, folder } = bench;
  const output = join(folder, 'backup.dump.zst.enc');
  const encrypt = `openssl enc -aes-256-ctr -pbkdf2 -pass 'file:${keys.opensslPasswordFile}' -out '${output}'`;
  return {
    name: 'zstd-openssl',
    create: {
      title: '`pg_dump -Fc -Z0 \\| zstd -2 \\| openssl enc -aes-256-ctr`',
      command: pipe(`${cluster.binFolder}/pg_dump -Fc -Z0 '${cluster.url(database)}' | zstd -2 --quiet | ${encrypt}`),
    },
    output,
  };
}

/** Encrypts the files of a dump once they are on the disk. Options as its README has them. */
function pgBack({ bench, database }: ParallelPlace): Creator<ParallelName> {
  const { cluster, keys, folder } = bench;
  const output = join(folder, 'pg-back');
  const { user, password } = cluster.superuser;
  const secrets = `PGPASSWORD='${password}' PGBK_PASSPHRASE="$(cat '${keys.opensslPasswordFile}')"`;
  const where = `--host '${cluster.socketFolder}' --port ${cluster.port} --username '${user}'`;
  const how = `--format directory --parallel-backup-jobs 2 --encrypt --backup-directory '${output}'`;
  return {
    name: 'pg-back',
    create: {
      title: '`pg_back --format directory --parallel-backup-jobs 2 --encrypt`',
      command: pipe(`PATH="${cluster.binFolder}:$PATH" ${secrets} pg_back ${where} ${how} ${database}`),
    },
    prepare: pipe(`mkdir '${output}'`),
    output,
    plaintext: output,
  };
}

function restic({ bench, database }: ParallelPlace): Creator<ParallelName> {
  const { cluster, keys, folder } = bench;
  const output = join(folder, 'restic');
  const command = `restic --quiet --no-cache --repo '${output}' --password-file '${keys.opensslPasswordFile}'`;
  const dump = `${cluster.binFolder}/pg_dump -Fc -Z0 '${cluster.url(database)}'`;
  return {
    name: 'restic',
    create: {
      title: '`pg_dump -Fc -Z0 \\| restic backup --stdin`',
      command: pipe(`${dump} | ${command} backup --stdin --stdin-filename ${database}.dump`),
    },
    prepare: pipe(`${command} init`),
    output,
  };
}

/** A copy of the whole cluster's files, and without the log that a restore of it needs. */
function pgBackRest({ bench }: ParallelPlace): Creator<ParallelName> {
  const { cluster, keys, folder } = bench;
  const output = join(folder, 'pgbackrest');
  const own = join(folder, 'pgbackrest-own');
  const settings = {
    stanza: 'bench',
    'pg1-path': cluster.dataFolder,
    'pg1-port': String(cluster.port),
    'pg1-socket-path': cluster.socketFolder,
    'pg1-user': cluster.superuser.user,
    'repo1-path': output,
    'repo1-cipher-type': 'aes-256-cbc',
    'log-level-file': 'off',
    'lock-path': own,
  };
  const options = Object.entries(settings).map(([name, value]) => `--${name}='${value}'`);
  const secrets = `PGPASSWORD='${cluster.superuser.password}' PGBACKREST_REPO1_CIPHER_PASS="$(cat '${keys.opensslPasswordFile}')"`;
  const command = `${secrets} pgbackrest ${options.join(' ')}`;
  const how =
    '--type=full --repo1-retention-full=1 --process-max=2 --compress-type=zst --start-fast --no-archive-check';
  return {
    name: 'pgbackrest',
    create: {
      title: '`pgbackrest backup --process-max=2 --compress-type=zst`, aes-256-cbc, of the cluster’s files',
      command: pipe(`${command} ${how} backup`),
    },
    prepare: pipe(`mkdir -p '${own}'; ${command} --no-online stanza-create`),
    output,
  };
}
