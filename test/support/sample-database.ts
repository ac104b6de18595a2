import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Cluster } from './postgres-cluster.ts';

const folder = join(import.meta.dirname, 'sample-database');
const everyKindFolder = join(import.meta.dirname, 'every-kind');
const rolesFile = '00-roles.sql';

/** Control file and script of an extension with configuration tables, for `relocatePostgres`. */
export const everyKindExtension = join(everyKindFolder, 'extension');

export interface SampleOptions {
  /** Multiplies the row counts: 1 is about 25 MB by `pg_database_size`. */
  readonly scale?: number;
}

/**
 * Makes a database with every awkward thing that a dump must carry: odd names, special values of every type, partitions,
 * circular keys, large objects, privileges, and so on. Its rows are the same every time. Restoring it elsewhere needs its
 * roles there: `createSampleRoles`.
 */
export async function createSampleDatabase(cluster: Cluster, name: string, options: SampleOptions = {}): Promise<void> {
  await createSampleRoles(cluster);
  await createFrom(cluster, name, { files: sampleFiles(), variables: { scale: options.scale ?? 1 } });
}

export interface EveryKindOptions extends SampleOptions {
  /** A database with subscriptions, connected or not, cannot be dropped. */
  readonly withSubscriptions?: boolean;
}

/**
 * Makes the hardest database there is: the sample, and beside it an object of every kind that pg_dump 15 knows, names that
 * break quoting, and tables of some 4 MB each, times `scale`, with holes, out-of-line values and partitions. An extension with
 * configuration tables is in it where the server has `everyKindExtension`. Needs a superuser and the sample's roles.
 *
 * Not in it, because pg_dump does not bring it back, and PostgreSQL itself cannot do without: security labels (no package
 * has a provider), indexes that are not valid, the disabled triggers behind foreign keys, indexes, triggers and
 * comments of users on an extension's own tables, rows of configuration tables that their condition leaves out, materialized views that are
 * filled although one that they read is not, subscriptions that are enabled, the order of columns in a table that was made
 * to inherit later.
 */
export async function createEveryKindDatabase(
  cluster: Cluster,
  name: string,
  options: EveryKindOptions = {},
): Promise<void> {
  await createSampleRoles(cluster);
  const files = [...sampleFiles(), ...numberedFiles(everyKindFolder)];
  const { scale = 1, withSubscriptions = false } = options;
  await createFrom(cluster, name, { files, variables: { scale, with_subscriptions: withSubscriptions } });
}

/** Makes a small database in a moment: two tables, a view, a function, a sequence, a large object; no roles of its own. */
export async function createSmallDatabase(cluster: Cluster, name: string, options: SampleOptions = {}): Promise<void> {
  await createFrom(cluster, name, { files: [join(folder, 'small.sql')], variables: { scale: options.scale ?? 1 } });
}

/** The owners and grantees of the sample database; they belong to the cluster and may be there already. */
export async function createSampleRoles(cluster: Cluster): Promise<void> {
  await cluster.runSql('postgres', readSql(join(folder, rolesFile)));
}

function sampleFiles(): string[] {
  return numberedFiles(folder).filter((file) => basename(file) !== rolesFile);
}

function numberedFiles(of: string): string[] {
  const files = readdirSync(of).filter((file) => /^\d\d-.*\.sql$/.test(file));
  return files.toSorted().map((file) => join(of, file));
}

interface Source {
  readonly files: readonly string[];
  readonly variables: Readonly<Record<string, number | boolean>>;
}

async function createFrom(cluster: Cluster, name: string, { files, variables }: Source): Promise<void> {
  await cluster.createDatabase(name);
  const texts = Object.entries(variables).map(([variable, value]) => [variable, String(value)] as const);
  await cluster.runSql(name, files.map(readSql).join('\n'), Object.fromEntries(texts));
}

function readSql(file: string): string {
  return readFileSync(file, 'utf8');
}
