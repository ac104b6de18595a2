import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster } from './postgres-cluster.ts';

const folder = join(import.meta.dirname, 'sample-database');
const rolesFile = '00-roles.sql';

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
  const files = readdirSync(folder).filter((file) => /^\d\d-.*\.sql$/.test(file) && file !== rolesFile);
  await createFrom(cluster, name, { files: files.toSorted(), scale: options.scale ?? 1 });
}

/** Makes a small database in a moment: two tables, a view, a function, a sequence, a large object; no roles of its own. */
export async function createSmallDatabase(cluster: Cluster, name: string, options: SampleOptions = {}): Promise<void> {
  await createFrom(cluster, name, { files: ['small.sql'], scale: options.scale ?? 1 });
}

/** The owners and grantees of the sample database; they belong to the cluster and may be there already. */
export async function createSampleRoles(cluster: Cluster): Promise<void> {
  await cluster.runSql('postgres', readSql(rolesFile));
}

interface Source {
  readonly files: readonly string[];
  readonly scale: number;
}

async function createFrom(cluster: Cluster, name: string, source: Source): Promise<void> {
  await cluster.createDatabase(name);
  await cluster.runSql(name, source.files.map(readSql).join('\n'), { scale: String(source.scale) });
}

function readSql(file: string): string {
  return readFileSync(join(folder, file), 'utf8');
}
