/** What servers and client programs say, and what to do about it. The first that matches counts. */
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
  [/its schema was renamed/, 'Run the backup again.'],
  [/relation ".*" does not exist[^]*Query was: LOCK TABLE/, 'Try again: a table was dropped when the dump began.'],
  [
    /must be owner of extension|permission denied to create extension/,
    'Restore as a superuser, or leave the extension out.',
  ],
  [/role ".*" does not exist/, 'Create the roles first, or restore with --no-owner and --no-privileges.'],
  [/has subscriptions that are in use/, 'Drop them first: DROP SUBSCRIPTION removes their slots as well.'],
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

/** What to do about what a server or a client program said, where something is known. */
export function hintFor(text: string): string | undefined {
  return hints.find(([pattern]) => pattern.test(text))?.[1];
}
