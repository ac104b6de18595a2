import type { Cluster } from './postgres-cluster.ts';

/** Makes a database of about `megabytes` of text that does not compress well, so that a dump of it takes a while. */
export async function createLargeDatabase(cluster: Cluster, name: string, megabytes: number): Promise<void> {
  await cluster.createDatabase(name);
  await cluster.runSql(
    name,
    `CREATE TABLE first AS SELECT 'before the large one' AS text;
     CREATE TABLE large AS SELECT n, encode(sha512(n::text::bytea), 'hex') AS text
       FROM generate_series(1, ${megabytes} * 7500) AS n;
     CREATE TABLE yet_another AS SELECT 'after the large one' AS text;`,
  );
}
