import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster } from './postgres-cluster.ts';
import type { CliRun } from './run-cli.ts';
import { waitUntil } from './wait-until.ts';

export interface ExpectedFailure {
  readonly code: number;
  /** What the message, on one line of stderr, names and says. */
  readonly message: RegExp;
  /** `null` where nothing can be advised. */
  readonly hint?: RegExp | null;
}

/** The run failed as the documentation says: exit code, one message, one hint, nothing on stdout, no stack. */
export function assertFailure(run: CliRun, { code, message, hint = /./ }: ExpectedFailure): void {
  assert.equal(run.code, code, `exit code ${run.code ?? run.signal} instead of ${code}: ${run.stderr}`);
  assert.equal(run.stdout, '');
  assertMessage(run.stderr, message);
  const [hintLine] = hintsIn(run.stderr);
  if (hint === null) return;
  assert.ok(hintLine !== undefined, `no hint: ${run.stderr}`);
  assert.match(hintLine, /^[A-Z].*\.$/);
  assert.match(hintLine, hint);
}

function assertMessage(stderr: string, message: RegExp): void {
  const messages = stderr
    .split('\n')
    .flatMap((line) => /^librelog-backup: (?!warn: |info: )(.*)$/.exec(line)?.[1] ?? []);
  assert.equal(messages.length, 1, `not one message: ${stderr}`);
  assert.match(messages[0] ?? '', message);
  assert.doesNotMatch(stderr, /^\s+at .*:\d+:\d+\)?$/m, 'a stack is for bugs');
}

function hintsIn(stderr: string): string[] {
  return stderr.split('\n').flatMap((line) => /^HINT: (.*)$/.exec(line)?.[1] ?? []);
}

/** Every file and folder below `folder`, by path. A folder that is not there has none. */
export function entriesBelow(folder: string): string[] {
  if (statSync(folder, { throwIfNoEntry: false }) === undefined) return [];
  return readdirSync(folder, { recursive: true }).map((name) => join(folder, String(name)));
}

/** No file, no folder, nothing half-written. */
export function assertNothingBelow(folder: string): void {
  assert.deepEqual(entriesBelow(folder), []);
}

const clientPrograms = ['librelog-backup', 'pg_dump', 'pg_restore', 'psql'];

/** No session of ours or of our children is left in `database`. A server process needs a moment to see its client go. */
export async function assertNoSession(cluster: Cluster, database: string): Promise<void> {
  await waitUntil(async () => {
    const sql = 'SELECT FROM pg_stat_activity WHERE datname = $1 AND application_name = ANY ($2)';
    return (await cluster.query('postgres', sql, [database, clientPrograms])).length === 0;
  }, `no session is left in ${database}`);
}

export async function databaseExists(cluster: Cluster, name: string): Promise<boolean> {
  return (await cluster.query('postgres', 'SELECT FROM pg_database WHERE datname = $1', [name])).length > 0;
}

export async function assertNoDatabase(cluster: Cluster, name: string): Promise<void> {
  assert.equal(await databaseExists(cluster, name), false, `database ${name} was left behind`);
}

const firstUserOid = 16_384;

/** Nothing that a user could have made is in the database: no table, type, function, schema or large object. */
export async function assertEmptyDatabase(cluster: Cluster, name: string): Promise<void> {
  const catalogs = ['pg_class', 'pg_type', 'pg_proc', 'pg_namespace', 'pg_largeobject_metadata', 'pg_extension'];
  const parts = catalogs.map((catalog) => {
    const ofUsers = catalog === 'pg_largeobject_metadata' ? '' : `WHERE oid >= ${firstUserOid}`;
    return `SELECT '${catalog}' AS catalog, count(*)::int AS count FROM ${catalog} ${ofUsers}`;
  });
  const rows = await cluster.query<{ catalog: string; count: number }>(name, parts.join(' UNION ALL '));
  assert.deepEqual(
    rows.filter(({ count }) => count > 0),
    [],
    `database ${name} is not empty`,
  );
}
