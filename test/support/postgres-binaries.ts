import { execFile } from 'node:child_process';
import { accessSync, constants, readdirSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const packagedRoot = '/usr/lib/postgresql';

/** The programs of one PostgreSQL installation: the server's and the client's. */
export interface PostgresBinaries {
  readonly folder: string;
  readonly major: number;
}

/**
 * The installed PostgreSQL of the given major, or the highest one. Looks where Debian and Ubuntu keep all majors side by
 * side, then along PATH. Installs the distribution's `postgresql` where that can be done without asking (root, apt-get);
 * otherwise throws a sentence that says what to install.
 */
export async function requirePostgres(major?: number): Promise<PostgresBinaries> {
  const found = await findPostgres(major);
  if (found !== null) return found;
  if (major === undefined && canInstall()) {
    await installPostgres();
    const installed = await findPostgres();
    if (installed !== null) return installed;
  }
  const wanted = major === undefined ? 'PostgreSQL (server and client)' : `PostgreSQL ${major} (server and client)`;
  const debian = major === undefined ? 'postgresql' : `postgresql-${major}`;
  throw new Error(
    `${wanted} is needed: initdb was found neither in ${packagedRoot}/*/bin nor in PATH. Install it with ` +
      `"apt-get install ${debian}" (Debian, Ubuntu), "dnf install postgresql-server postgresql-contrib" (Fedora, RHEL) ` +
      'or "brew install postgresql" (macOS); no service has to run.',
  );
}

async function findPostgres(major?: number): Promise<PostgresBinaries | null> {
  const candidates = [...packagedFolders(), ...pathFolders()].filter(hasServer);
  for (const folder of candidates) {
    const found = { folder, major: await majorOf(folder) };
    if (major === undefined || found.major === major) return found;
  }
  return null;
}

function packagedFolders(): string[] {
  const majors = listFolder(packagedRoot).filter((name) => /^\d+$/.test(name));
  return majors.toSorted((a, b) => Number(b) - Number(a)).map((name) => join(packagedRoot, name, 'bin'));
}

function listFolder(path: string): string[] {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true ? readdirSync(path) : [];
}

function pathFolders(): string[] {
  return (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
}

function hasServer(folder: string): boolean {
  return isExecutable(join(folder, 'initdb')) && isExecutable(join(folder, 'postgres'));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

async function majorOf(folder: string): Promise<number> {
  const { stdout } = await run(join(folder, 'initdb'), ['--version']);
  const major = /(\d+)(?:\.\d+|devel|beta\d+|rc\d+)/.exec(stdout)?.[1];
  if (major === undefined) throw new Error(`cannot read the version of ${folder}/initdb: ${stdout.trim()}`);
  return Number(major);
}

function canInstall(): boolean {
  return process.getuid?.() === 0 && isExecutable('/usr/bin/apt-get');
}

/**
 * Without `create_main_cluster = false` Debian's package would make and start a service on port 5432.
 * `flock`, because several test files may find PostgreSQL missing at the same moment.
 */
async function installPostgres(): Promise<void> {
  process.stderr.write('PostgreSQL is not installed: installing the package "postgresql" with apt-get\n');
  const script = `
    set -e
    test -z "$(ls -d ${packagedRoot}/*/bin/initdb 2>/dev/null)" || exit 0
    mkdir -p /etc/postgresql-common
    grep -qs '^create_main_cluster *= *false' /etc/postgresql-common/createcluster.conf ||
      echo 'create_main_cluster = false' >> /etc/postgresql-common/createcluster.conf
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold postgresql
  `;
  const lock = join(tmpdir(), 'librelog-backup-install-postgresql.lock');
  try {
    await run('flock', [lock, 'sh', '-c', script], { maxBuffer: 64 * 1024 * 1024 });
  } catch (error) {
    throw new Error('cannot install PostgreSQL: run "apt-get update && apt-get install postgresql" to see why', {
      cause: error,
    });
  }
}
