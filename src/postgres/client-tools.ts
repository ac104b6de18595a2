import { execFile } from 'node:child_process';
import { accessSync, constants, readdirSync, realpathSync, statSync } from 'node:fs';
import { basename, delimiter, isAbsolute, join } from 'node:path';
import { promisify } from 'node:util';
import { BackupError } from '../core/backup-error.ts';
import { clientEnvironment } from './client-environment.ts';

const run = promisify(execFile);

export type ClientToolName = 'pg_dump' | 'pg_dumpall' | 'pg_restore' | 'psql';

/** An installed client program. */
export interface ClientTool {
  readonly name: ClientToolName;
  readonly path: string;
  /** As the program prints it, e.g. `15.18` or `19beta1`. */
  readonly version: string;
  readonly major: number;
}

export interface FindClientToolOptions {
  /** Major of the server, or of the archive to read: this very major is preferred, then the nearest newer one. */
  readonly serverMajor?: number | undefined;
  /** Look into this folder only. */
  readonly binDir?: string | undefined;
  readonly env: NodeJS.ProcessEnv;
}

/** Where packages put several majors side by side; `*` stands for anything. */
const packagedFolders = [
  '/usr/lib/postgresql/*/bin',
  '/usr/pgsql-*/bin',
  '/usr/local/pgsql*/bin',
  '/opt/homebrew/opt/postgresql@*/bin',
  '/opt/homebrew/opt/libpq/bin',
  '/usr/local/opt/postgresql@*/bin',
  '/usr/local/opt/libpq/bin',
  '/Applications/Postgres.app/Contents/Versions/*/bin',
];

/** A `--version` that takes longer than this is no version. */
const versionTimeoutMs = 10_000;

/**
 * The installed program to use, in PATH or where packages put it. Fails with `postgres` when there is none, or none that
 * is new enough: a client cannot dump a server of a newer major.
 */
export async function findClientTool(name: ClientToolName, options: FindClientToolOptions): Promise<ClientTool> {
  const paths = candidatePaths(name, options);
  const tools = (await Promise.all(paths.map(async (path) => await examine(name, path)))).filter(
    (tool) => tool !== null,
  );
  const chosen = chooseTool(tools, options.serverMajor);
  if (chosen !== null) return chosen;
  const place = options.binDir === undefined ? '' : ` in "${options.binDir}"`;
  const newest = chooseTool(tools, undefined);
  if (newest === null) {
    throw new BackupError('postgres', `cannot find ${name}${place}`, { hint: installHint(options.serverMajor) });
  }
  const message = `${name} ${newest.version} ("${newest.path}") is too old for PostgreSQL ${options.serverMajor}`;
  throw new BackupError('postgres', message, { hint: installHint(options.serverMajor) });
}

/** The major wanted, else the nearest newer one; without a wish the newest. Of equals the first. */
export function chooseTool(tools: readonly ClientTool[], serverMajor: number | undefined): ClientTool | null {
  if (serverMajor === undefined) return tools.toSorted((a, b) => b.major - a.major)[0] ?? null;
  const usable = tools.filter((tool) => tool.major >= serverMajor);
  return usable.toSorted((a, b) => a.major - b.major)[0] ?? null;
}

/** The version in what `--version` printed, whatever a wrapper printed around it. */
export function parseToolVersion(text: string): Pick<ClientTool, 'version' | 'major'> | null {
  const match = /\(PostgreSQL\)\s+((\d+)[^\s()]*)/.exec(text);
  return match === null ? null : { version: match[1] ?? '', major: Number(match[2]) };
}

function installHint(serverMajor: number | undefined): string {
  const major = serverMajor ?? '';
  const dash = serverMajor === undefined ? '' : `-${serverMajor}`;
  return (
    `Install the PostgreSQL ${major === '' ? '' : `${major} `}client tools (Debian, Ubuntu: postgresql-client${dash}; ` +
    `Fedora, RHEL: postgresql${major}; macOS: brew install postgresql@${major === '' ? '17' : major}), or name their folder.`
  );
}

function candidatePaths(name: ClientToolName, { binDir, env }: FindClientToolOptions): string[] {
  const folders = binDir === undefined ? [...pathFolders(env), ...packagedFolders.flatMap(expandFolder)] : [binDir];
  const paths = folders.map((folder) => join(folder, name)).filter(isExecutableFile);
  const real = new Map(paths.toReversed().map((path) => [realpathSync(path), path]));
  // Debian's pg_wrapper chooses a version of its own; the programs it chooses from are in our list.
  return [...real].toReversed().flatMap(([target, path]) => (basename(target) === 'pg_wrapper' ? [] : [path]));
}

function pathFolders(env: NodeJS.ProcessEnv): string[] {
  return (env['PATH'] ?? '').split(delimiter).filter(isAbsolute);
}

function expandFolder(pattern: string): string[] {
  const star = pattern.indexOf('*');
  if (star === -1) return [pattern];
  const parent = pattern.slice(0, pattern.lastIndexOf('/', star));
  const prefix = pattern.slice(parent.length + 1, star);
  const rest = pattern.slice(star + 1);
  return listFolder(parent)
    .filter((entry) => entry.startsWith(prefix))
    .map((entry) => `${parent}/${entry}${rest}`);
}

function listFolder(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function isExecutableFile(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** `null`: it does not say that it is a PostgreSQL program. */
async function examine(name: ClientToolName, path: string): Promise<ClientTool | null> {
  try {
    const options = { env: clientEnvironment(process.env), timeout: versionTimeoutMs };
    const version = parseToolVersion((await run(path, ['--version'], options)).stdout);
    return version === null ? null : { name, path, ...version };
  } catch {
    return null;
  }
}
