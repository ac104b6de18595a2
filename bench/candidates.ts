import { join } from 'node:path';
import { pipe, type Command } from './measure.ts';
import type { Workbench } from './workbench.ts';

export const launcher = join(import.meta.dirname, '..', 'bin', 'librelog-backup.js');

export type CandidateName = 'limit' | 'aes' | 'openpgp' | 'gpg' | 'openssl' | 'age';

/** One way to back up a database. */
export interface Creator<Name extends string = CandidateName> {
  readonly name: Name;
  /** The title as the reader would write it. */
  readonly create: { readonly title: string; readonly command: Command };
  /** File or folder that `create` (or `archive`) fills, and that is removed before it runs. */
  readonly output: string;
  /** Makes the store that `create` wants to find; its time does not count. */
  readonly prepare?: Command;
  /** Folder where `create` leaves the dump unencrypted; it may be `output`. */
  readonly plaintext?: string;
  /** Makes what a restore reads, where that is not what `create` leaves. */
  readonly archive?: Command;
}

/** One way to back up a database and to bring it back. */
export interface Candidate<Name extends string = CandidateName> extends Creator<Name> {
  readonly restore: {
    readonly title: string;
    readonly command: (database: string) => Command;
    /** It wants no database to be there; the others want an empty one. */
    readonly makesDatabase?: true;
  };
}

/** All candidates for a database; age only where it is installed. */
export function listCandidates(bench: Workbench, database: string): Candidate[] {
  return [limit(bench, database), ...ours(bench, database), ...classics(bench, database), ...age(bench, database)];
}

function limit({ cluster, folder }: Workbench, database: string): Candidate {
  const output = join(folder, 'plain.dump');
  const dump = ['-Fc', '-Z0', '--dbname', cluster.url(database)];
  const program = join(cluster.binFolder, 'pg_dump');
  const restore = join(cluster.binFolder, 'pg_restore');
  return {
    name: 'limit',
    create: { title: '`pg_dump -Fc -Z0 > /dev/null` (the limit)', command: { program, args: dump, isOurs: false } },
    archive: { program, args: [...dump, '--file', output], isOurs: false },
    restore: {
      title: '`pg_restore --single-transaction` from a local uncompressed archive (the limit)',
      command: (target) => {
        const args = ['--exit-on-error', '--single-transaction', '--dbname', cluster.url(target), output];
        return { program: restore, args, isOurs: false };
      },
    },
    output,
  };
}

function ours(bench: Workbench, database: string): Candidate[] {
  return [
    ourCandidate(bench, { name: 'aes', method: 'aes-256', database }),
    ourCandidate(bench, { name: 'openpgp', method: 'openpgp', database }),
  ];
}

export interface OurSettings<Name extends string> {
  readonly name: Name;
  readonly method: 'aes-256' | 'openpgp';
  readonly database: string;
  /** What the command line says; without a number it says nothing, and the database to restore into is there. */
  readonly jobs?: number;
  /** Where PostgreSQL is reached, when not straight. */
  readonly port?: number;
}

export function ourCandidate<Name extends string>(bench: Workbench, settings: OurSettings<Name>): Candidate<Name> {
  const { cluster, keys, folder } = bench;
  const { name, method, database, jobs, port } = settings;
  const output = join(folder, `store-${name}`);
  const run = (...args: string[]): Command => ({
    program: process.execPath,
    args: [launcher, ...args, '--store', `file://${output}`],
    isOurs: true,
  });
  const aesKey = ['--key', `file:${keys.aesFile}`];
  const encryption = method === 'aes-256' ? aesKey : ['--recipient', `file:${keys.certificateFile}`];
  const decryption = method === 'aes-256' ? aesKey : ['--private-key', `file:${keys.privateKeyFile}`];
  const streams = jobs === undefined ? [] : ['--jobs', String(jobs)];
  const createArgs = ['--encrypt', method, ...streams];
  const restoreArgs = jobs === undefined ? [] : [...streams, '--create-db'];
  const url = (target: string) => withPort(cluster.url(target), port);
  return {
    name,
    create: {
      title: `\`${['librelog-backup', 'create', ...createArgs].join(' ')}\``,
      command: run('create', '--database', url(database), ...createArgs, ...encryption),
    },
    restore: {
      title: `\`${['librelog-backup', 'restore', ...restoreArgs].join(' ')}\`, ${method}`,
      command: (target) => run('restore', 'latest', '--target', url(target), ...restoreArgs, ...decryption),
      ...(jobs === undefined ? {} : { makesDatabase: true }),
    },
    output,
  };
}

function withPort(url: string, port: number | undefined): string {
  const changed = new URL(url);
  if (port !== undefined) changed.port = String(port);
  return changed.href;
}

/** What cron scripts do: a plain dump into gpg, or through gzip into openssl. */
function classics({ cluster, keys, folder }: Workbench, database: string): Candidate[] {
  const bin = cluster.binFolder;
  const dump = `${bin}/pg_dump '${cluster.url(database)}'`;
  const psql = (target: string) =>
    `${bin}/psql --no-psqlrc --quiet --single-transaction -v ON_ERROR_STOP=1 '${cluster.url(target)}'`;
  const gpg = `gpg --homedir '${keys.gnupgHome}' --batch --quiet --trust-model always`;
  const gpgFile = join(folder, 'backup.sql.gpg');
  const openssl = `-aes-256-cbc -pbkdf2 -pass 'file:${keys.opensslPasswordFile}'`;
  const opensslFile = join(folder, 'backup.sql.gz.enc');
  return [
    {
      name: 'gpg',
      create: {
        title: '`pg_dump \\| gpg --encrypt`',
        command: pipe(`${dump} | ${gpg} --encrypt --recipient bench@example.com > '${gpgFile}'`),
      },
      restore: {
        title: '`gpg -d \\| psql --single-transaction`',
        command: (target) => pipe(`${gpg} --decrypt '${gpgFile}' | ${psql(target)}`),
      },
      output: gpgFile,
    },
    {
      name: 'openssl',
      create: {
        title: '`pg_dump \\| gzip \\| openssl enc -aes-256-cbc -pbkdf2`',
        command: pipe(`${dump} | gzip | openssl enc ${openssl} -out '${opensslFile}'`),
      },
      restore: {
        title: '`openssl enc -d \\| gunzip \\| psql --single-transaction`',
        command: (target) => pipe(`openssl enc -d ${openssl} -in '${opensslFile}' | gunzip | ${psql(target)}`),
      },
      output: opensslFile,
    },
  ];
}

function age({ cluster, keys, folder }: Workbench, database: string): Candidate[] {
  if (keys.age === null) return [];
  const { identityFile, recipient } = keys.age;
  const output = join(folder, 'backup.dump.zst.age');
  const dump = `${cluster.binFolder}/pg_dump -Fc -Z0 '${cluster.url(database)}'`;
  const restore = `${cluster.binFolder}/pg_restore --exit-on-error --single-transaction --dbname`;
  return [
    {
      name: 'age',
      create: {
        title: '`pg_dump -Fc -Z0 \\| zstd -3 -T0 \\| age`',
        command: pipe(`${dump} | zstd -3 -T0 --quiet | age --recipient ${recipient} --output '${output}'`),
      },
      restore: {
        title: '`age -d \\| zstd -d \\| pg_restore --single-transaction`',
        command: (target) =>
          pipe(
            `age --decrypt --identity '${identityFile}' '${output}' | zstd -d --quiet | ${restore} '${cluster.url(target)}'`,
          ),
      },
      output,
    },
  ];
}
