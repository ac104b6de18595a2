import type { Cluster } from './postgres-cluster.ts';
import { createSampleDatabase } from './sample-database.ts';

/** Tables of `createStreamsDatabase` that a backup with 2 streams does not leave to the remainder. */
export const streamTables = { split: 'large_rows', whole: 'middle_rows' } as const;

/**
 * The sample database with two tables more: one large enough to be split between objects, and one that has an object of
 * its own. About 45 MB.
 */
export async function createStreamsDatabase(cluster: Cluster, name: string): Promise<void> {
  await createSampleDatabase(cluster, name);
  await addStreamTables(cluster, name);
}

/** The two tables alone, and one small one. */
export async function createPlainStreamsDatabase(cluster: Cluster, name: string): Promise<void> {
  await cluster.createDatabase(name);
  await cluster.runSql(name, 'CREATE TABLE small_rows AS SELECT n FROM generate_series(1, 10) AS n;');
  await addStreamTables(cluster, name);
}

async function addStreamTables(cluster: Cluster, name: string): Promise<void> {
  await cluster.runSql(
    name,
    `SET search_path = public;
     CREATE TABLE large_rows (id int GENERATED ALWAYS AS IDENTITY, text text,
       twice int GENERATED ALWAYS AS (length(text) * 2) STORED);
     INSERT INTO large_rows (text) SELECT encode(sha512(n::text::bytea), 'hex') FROM generate_series(1, 220000) AS n;
     ALTER TABLE large_rows ADD PRIMARY KEY (id);
     CREATE TABLE middle_rows AS SELECT n AS id, encode(sha512(n::text::bytea), 'hex') AS text
       FROM generate_series(1, 30000) AS n;
     CREATE INDEX middle_rows_text ON middle_rows (text);
     ALTER TABLE middle_rows ADD FOREIGN KEY (id) REFERENCES large_rows;`,
  );
}
