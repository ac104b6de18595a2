import { BackupError } from '../core/backup-error.ts';
import type { ClientExit, ClientProcess } from './client-process.ts';

const maxSummaryChars = 800;
const maxSummaryLines = 6;

/** What client programs say, and what to do about it. The first that matches counts. */
const hints: readonly (readonly [RegExp, string])[] = [
  [
    /password authentication failed|no password supplied/,
    'Check the user and the password (PGPASSWORD or password file).',
  ],
  [/no pg_hba\.conf entry/, 'Let this host, user and database in by a line in pg_hba.conf.'],
  [/database ".*" does not exist/, 'Check the name of the database.'],
  [/server version mismatch/, 'Install the client tools of the major version of the server.'],
  [/unsupported version \(/, 'Install client tools as new as those that made the archive.'],
  [/row-level security/, 'Use a role that bypasses row-level security (BYPASSRLS), or its owner.'],
  [
    /due to (lock|statement) timeout|could not obtain lock/,
    'Try again when no schema change is running, or raise the lock wait timeout.',
  ],
  [
    /invalid snapshot identifier|could not import the requested snapshot/,
    'Look into the log of the server: the session that held the snapshot was lost.',
  ],
  [
    /too many (?:clients|connections)|remaining connection slots/,
    'Use fewer streams (--jobs), or raise max_connections or the limit of the role.',
  ],
  [
    /conflict with recovery/,
    'Try again, or let the standby wait for its queries (max_standby_streaming_delay, hot_standby_feedback).',
  ],
  [/relation ".*" does not exist[^]*Query was: LOCK TABLE/, 'Try again: a table was dropped when the dump began.'],
  [
    /must be owner of extension|permission denied to create extension/,
    'Restore as a superuser, or leave the extension out.',
  ],
  [/role ".*" does not exist/, 'Create the roles first, or restore with --no-owner and --no-privileges.'],
  [/permission denied/, 'Use a role with the rights needed: pg_read_all_data to dump, the owner to restore.'],
  [/already exists/, 'Restore into an empty database, or use --clean.'],
  [
    /extension ".*" is not available|could not open extension control file/,
    'Install the extension on the server first.',
  ],
  [/unrecognized configuration parameter/, 'Restore to a server that is at least as new as the dump.'],
  [/invalid command \\restrict/, 'Update psql: dumps made since August 2025 need a psql of that time or newer.'],
  [/No space left on device/, 'Free some space.'],
  [
    /(?:schema|table) ".*" not found|no matching (tables|schemas) were found/,
    'Check the names: they are case-sensitive.',
  ],
  [
    /server closed the connection|terminating connection|connection to server was lost/,
    'Look into the log of the server.',
  ],
];

export function hasSucceeded(exit: ClientExit): boolean {
  return exit.code === 0;
}

/** The error for a client program that has ended without success, with the end of what it wrote to stderr. */
export function toToolFailure(client: ClientProcess, exit: ClientExit): BackupError {
  const { tool, stderr } = client;
  if (exit.startError !== undefined) {
    return new BackupError('postgres', `cannot start "${tool.path}"`, { cause: exit.startError });
  }
  const summary = summarize(tool.name, stderr.lines);
  const ending = exit.signal === null ? `exit code ${exit.code}` : `killed by ${exit.signal}`;
  return new BackupError('postgres', `${tool.name} failed (${ending})${summary === '' ? '' : `: ${summary}`}`, {
    hint: hints.find(([pattern]) => pattern.test(stderr.lines.join('\n')))?.[1],
  });
}

/** The error for a client program whose exit code is 0 although it did not do its work. */
export function toBrokenPromise(client: ClientProcess, problem: string): BackupError {
  const summary = summarize(client.tool.name, client.stderr.lines);
  return new BackupError('postgres', `${client.tool.name} ${problem}${summary === '' ? '' : `: ${summary}`}`);
}

/** From the first error on, or else the last lines, as one line. */
function summarize(name: string, lines: readonly string[]): string {
  const firstError = lines.findIndex((line) => /\b(error|fatal|panic):/i.test(line));
  const chosen = firstError === -1 ? lines.slice(-3) : lines.slice(firstError, firstError + maxSummaryLines);
  const text = chosen.map((line) => line.replace(`${name}: error: `, '').replace(`${name}: `, '').trim()).join('; ');
  return text.slice(0, maxSummaryChars).replace(/\.$/, '');
}
