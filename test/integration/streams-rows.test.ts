import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { collect } from '../../src/core/byte-stream.ts';
import { findClientTool, type ClientTool } from '../../src/postgres/client-tools.ts';
import { resolveConnection, type Connection } from '../../src/postgres/connection.ts';
import { startCopyOut } from '../../src/postgres/copy-out.ts';
import { findDataTables } from '../../src/postgres/data-tables.ts';
import { openSnapshot, type Snapshot } from '../../src/postgres/snapshot.ts';
import type { DataTable, TablePart } from '../../src/postgres/stream-plan.ts';
import { startCluster, type Cluster } from '../support/postgres-cluster.ts';

const maxBytes = 256 * 1024 * 1024;

let cluster: Cluster;
let psql: ClientTool;
before(async () => {
  cluster = await startCluster();
  psql = await findClientTool('psql', { binDir: cluster.binFolder, env: process.env });
});
after(async () => await cluster[Symbol.asyncDispose]());

function connect(database: string): Connection {
  return resolveConnection(cluster.url(database), { HOME: '/nonexistent' });
}

/** The tables of the schema `public`, locked. */
async function findTables(database: string, snapshot: Snapshot, encoding = 'UTF8'): Promise<readonly DataTable[]> {
  const oids = await cluster.query<{ oid: number }>(
    database,
    `SELECT oid::int AS oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`,
  );
  const [version] = await cluster.query<{ num: number }>(
    database,
    `SELECT current_setting('server_version_num')::int AS num`,
  );
  const options = { versionNum: version?.num ?? 0, encoding };
  return await findDataTables(
    oids.map(({ oid }) => oid),
    snapshot,
    options,
  );
}

interface CopyRequest {
  readonly database: string;
  readonly snapshot: Snapshot;
  readonly parts: readonly TablePart[];
  readonly encoding?: string;
}

async function copyOut(
  request: CopyRequest,
): Promise<{ readonly script: Buffer; readonly rows: readonly (number | null)[] }> {
  const { database, snapshot, parts, encoding = 'UTF8' } = request;
  const unit = { parts, sizeBytes: 0 };
  const run = {
    tool: psql,
    connection: connect(database),
    snapshotId: snapshot.id,
    unit,
    encoding,
    lockTimeout: '10s',
  };
  await using process = startCopyOut(run);
  const script = await collect(process.output, maxBytes);
  return { script, rows: process.rows() };
}

/** The lines between each COPY and its end mark. */
function rowsIn(script: Buffer): string[] {
  const blocks = script.toString('latin1').matchAll(/^COPY .* FROM stdin;\n(.*?)^\\\.$/gms);
  return [...blocks].flatMap(([, rows = '']) => rows.split('\n').slice(0, -1));
}

function inRanges(table: DataTable, count: number): TablePart[] {
  return Array.from({ length: count }, (_, index) => {
    const start = Math.floor((table.blocks * index) / count);
    const end = index === count - 1 ? null : Math.floor((table.blocks * (index + 1)) / count);
    return { table, blocks: { start, end } };
  });
}

const openSnapshotOf = async (database: string) =>
  await openSnapshot(connect(database), { applicationName: 'librelog-backup' });

/** Pages without rows at the start, in the middle and at the end, rows that have moved, and rows inside a page. */
const holes = `
  CREATE TABLE holes (id int, body text) WITH (fillfactor = 80);
  INSERT INTO holes SELECT n, repeat(md5(n::text), 4) FROM generate_series(1, 20000) AS n;
  DELETE FROM holes WHERE id < 2000 OR id BETWEEN 7000 AND 12000 OR id > 18000 OR id % 3 = 0;
  UPDATE holes SET body = 'moved ' || body WHERE id % 7 = 0;
`;

describe('a table that is copied in ranges of blocks', () => {
  for (const count of [1, 2, 7, 20]) {
    it(`gives every row once, dead rows and empty pages or not: ${count} ranges`, async () => {
      await cluster.createDatabase(`holes_${count}`);
      await cluster.runSql(`holes_${count}`, holes);
      await using snapshot = await openSnapshotOf(`holes_${count}`);
      const [table] = await findTables(`holes_${count}`, snapshot);
      assert.ok(table !== undefined && table.blocks > 100);
      const expected = await cluster.query<{ id: number }>(`holes_${count}`, 'SELECT id FROM holes ORDER BY id');
      const found: number[] = [];
      for (const part of inRanges(table, count)) {
        const { script, rows } = await copyOut({ database: `holes_${count}`, snapshot, parts: [part] });
        const lines = rowsIn(script);
        assert.deepEqual(rows, [lines.length], 'the count is another');
        found.push(...lines.map((line) => Number(line.split('\t')[0])));
        // The others see what the snapshot saw.
        const change = `UPDATE holes SET body = 'later', id = -id; DELETE FROM holes WHERE id % 5 = 0;
          INSERT INTO holes SELECT n, 'new' FROM generate_series(30000, 30100) AS n`;
        await cluster.query(`holes_${count}`, change);
        await cluster.query(`holes_${count}`, 'VACUUM holes');
      }
      assert.deepEqual(
        found.toSorted((a, b) => a - b),
        expected.map(({ id }) => id),
      );
    });
  }

  it('gives every row once when it has shrunk to nothing since it was planned', async () => {
    await cluster.createDatabase('emptied');
    await cluster.runSql('emptied', holes);
    await cluster.query('emptied', 'DELETE FROM holes');
    await using snapshot = await openSnapshotOf('emptied');
    const [table] = await findTables('emptied', snapshot);
    assert.ok(table !== undefined);
    for (const part of inRanges(table, 3)) {
      const { script, rows } = await copyOut({ database: 'emptied', snapshot, parts: [part] });
      assert.deepEqual([rows, rowsIn(script)], [[0], []]);
    }
  });
});

describe('a table with an access method that may not count what it reads', () => {
  it('is copied, and nothing is said of its rows', async () => {
    await cluster.createDatabase('foreign_method');
    await cluster.runSql(
      'foreign_method',
      `CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler;
       CREATE TABLE elsewhere USING other AS SELECT n FROM generate_series(1, 10) AS n;`,
    );
    await using snapshot = await openSnapshotOf('foreign_method');
    const tables = await findTables('foreign_method', snapshot);
    const parts = tables.map((table) => ({ table, blocks: null }));
    const { script, rows } = await copyOut({ database: 'foreign_method', snapshot, parts });
    assert.deepEqual([rows, rowsIn(script).length], [[null], 10]);
  });
});

describe('a table whose name leads to another one by the time that it is copied', () => {
  it('fails the copy, with others before and after it', async () => {
    await cluster.createDatabase('swapped');
    const table = (name: string) => `CREATE TABLE ${name} AS SELECT 1 AS n;`;
    await cluster.runSql('swapped', `CREATE SCHEMA app; ${['first', 'app.moved', 'last'].map(table).join('\n')}`);
    const names = `relname IN ('first', 'moved', 'last')`;
    const oids = await cluster.query<{ oid: number }>('swapped', `SELECT oid::int AS oid FROM pg_class WHERE ${names}`);
    await using snapshot = await openSnapshotOf('swapped');
    const numbers = oids.map(({ oid }) => oid);
    const tables = await findDataTables(numbers, snapshot, { versionNum: 150_000, encoding: 'UTF8' });
    const parts = tables.toSorted((a, b) => a.oid - b.oid).map((found) => ({ table: found, blocks: null }));
    assert.deepEqual((await copyOut({ database: 'swapped', snapshot, parts })).rows, [1, 1, 1]);
    await cluster.query('swapped', `ALTER SCHEMA app RENAME TO app_old; CREATE SCHEMA app; ${table('app.moved')}`);
    await assert.rejects(copyOut({ database: 'swapped', snapshot, parts }), {
      kind: 'postgres',
      message: 'psql found another table, or none, under the name "app"."moved": its schema was renamed',
      hint: 'Run the backup again.',
    });
  });
});

describe('many tables that share a unit', () => {
  const tableCount = 250;
  /** As long as names get, and all of it escaped. */
  const nameOf = (index: number) => `${'ü'.repeat(29)}${String(index).padStart(4, '0')}`;

  it(`are all in the script, ${tableCount} of them, and the rows of each are counted`, async () => {
    await cluster.createDatabase('many');
    const create = Array.from({ length: tableCount }, (_, index) => {
      const name = nameOf(index);
      return `CREATE TABLE "${name}" ("${name}" int, "a ""b""" text);
        INSERT INTO "${name}" SELECT n, 'x' FROM generate_series(1, ${index % 7}) AS n;`;
    });
    await cluster.runSql('many', create.join('\n'));
    await using snapshot = await openSnapshotOf('many');
    const tables = await findTables('many', snapshot);
    const parts = tables.map((table) => ({ table, blocks: null }));
    const { script, rows } = await copyOut({ database: 'many', snapshot, parts });
    assert.deepEqual(
      rows,
      tables.map(({ name }) => Number(name.slice(-4)) % 7),
    );
    assert.equal([...script.toString('latin1').matchAll(/^COPY "public"\.U&/gm)].length, tableCount);

    await cluster.createDatabase('many_again');
    await cluster.runSql('many_again', create.join('\n').replaceAll(/INSERT [^;]*;/g, ''));
    await cluster.runSql('many_again', script.toString('latin1'));
    const sql = `SELECT sum((xpath('/row/c/text()', query_to_xml(format('SELECT count(*) AS c FROM public.%I', tablename),
      false, true, '')))[1]::text::int)::int AS rows FROM pg_tables WHERE schemaname = 'public'`;
    assert.deepEqual(await cluster.query('many_again', sql), await cluster.query('many', sql));
  });
});

describe('a database in another encoding', () => {
  for (const [encoding, text] of [
    ['LATIN1', `convert_from('\\xe9', 'LATIN1')`],
    ['SQL_ASCII', `convert_from('\\xe9ff', 'SQL_ASCII')`],
  ] as const) {
    it(`${encoding} leaves tables with other names than ASCII to pg_dump, and its bytes are as they were`, async () => {
      const database = encoding.toLowerCase();
      const options = `TEMPLATE template0 ENCODING '${encoding}' LC_COLLATE 'C' LC_CTYPE 'C'`;
      for (const name of [database, `${database}_again`])
        await cluster.query('postgres', `CREATE DATABASE ${name} ${options}`);
      await cluster.runSql(
        database,
        `CREATE TABLE plain (id int, body text); INSERT INTO plain SELECT n, ${text} || n FROM generate_series(1, 1000) AS n;
         SET client_encoding = '${encoding}';
         CREATE TABLE "gr\xfc\xdfe" (id int); CREATE TABLE odd_column (id int, "gr\xf6\xdfe" int);`,
      );
      await using snapshot = await openSnapshotOf(database);
      const tables = await findTables(database, snapshot, encoding);
      assert.deepEqual(
        tables.map(({ name }) => name),
        ['plain'],
      );
      const parts = tables.map((table) => ({ table, blocks: null }));
      const { script, rows } = await copyOut({ database, snapshot, parts, encoding });
      assert.deepEqual(rows, [1000]);
      assert.ok(script.includes(Buffer.from([0xe9])), 'the bytes were converted');
      await cluster.query(`${database}_again`, 'CREATE TABLE plain (id int, body text)');
      await cluster.runSql(`${database}_again`, script);
      const sum = `SELECT md5(string_agg(body, ',' ORDER BY id)::bytea) AS sum FROM plain`;
      assert.deepEqual(await cluster.query(`${database}_again`, sum), await cluster.query(database, sum));
    });
  }
});
