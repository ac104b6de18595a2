import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { copyOutSql, type CopyOutRun } from '../../src/postgres/copy-out.ts';
import type { DataTable, TablePart } from '../../src/postgres/stream-plan.ts';
import { resolveConnection } from '../../src/postgres/connection.ts';

const shop: DataTable = {
  oid: 16_390,
  schema: 'public',
  name: 'orders',
  columns: ['id', 'note'],
  blocks: 4096,
  sizeBytes: 33_554_432,
  indexBytes: 1_048_576,
  canSplit: true,
};

function run(parts: readonly TablePart[], changes: Partial<CopyOutRun> = {}): CopyOutRun {
  return {
    tool: { name: 'psql', path: '/usr/bin/psql', version: '15.18', major: 15 },
    connection: resolveConnection('shop', { HOME: '/nonexistent' }),
    snapshotId: '00000003-0000001B-1',
    unit: { parts, sizeBytes: 1 },
    encoding: 'UTF8',
    lockTimeout: '30s',
    ...changes,
  };
}

const whole = (table: DataTable): TablePart => ({ table, blocks: null });

/** Lines that begin with `start`. */
function linesOf(sql: string, start: string): string[] {
  return sql.split('\n').filter((line) => line.startsWith(start));
}

const oddNames = [
  'Order',
  'a "quoted" one',
  String.raw`back\slash`,
  "it's",
  'two\nlines\r\tand tabs',
  ':colon :"var" :\'x\' $1 $$ ; --',
  'naïve 中 🐘',
  '\\.',
] as const;

describe('the script that copies rows out', () => {
  it('takes the snapshot before anything else, locks its tables, and ends its transaction', () => {
    const lines = copyOutSql(run([whole(shop)])).split('\n');
    const order = [
      'BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY',
      'SET TRANSACTION SNAPSHOT',
      'LOCK TABLE',
      'COPY ',
    ];
    const positions = order.map((start) => lines.findIndex((line) => line.startsWith(start)));
    assert.deepEqual(
      positions,
      positions.toSorted((a, b) => a - b),
    );
    assert.ok(!positions.includes(-1));
    assert.equal(lines[positions[1] ?? 0], String.raw`SET TRANSACTION SNAPSHOT '00000003-0000001B-1' \;`);
    assert.equal(
      lines[positions[2] ?? 0],
      String.raw`LOCK TABLE ONLY "public"."orders" IN ACCESS SHARE MODE \g /dev/null`,
    );
    assert.deepEqual(lines.slice(-2), ['COMMIT;', '']);
  });

  it('names the columns, for generated ones cannot be copied', () => {
    const sql = copyOutSql(run([whole(shop)]));
    assert.deepEqual(linesOf(sql, 'COPY '), ['COPY "public"."orders" ("id", "note") TO STDOUT;']);
    assert.match(sql, /^\\qecho 'COPY "public"\."orders" \("id", "note"\) FROM stdin;'$/m);
  });

  it('reads a range of blocks, the last one to the end of the table', () => {
    const first: TablePart = { table: shop, blocks: { start: 0, end: 2048 } };
    const last: TablePart = { table: shop, blocks: { start: 2048, end: null } };
    const copies = [first, last].map((part) => linesOf(copyOutSql(run([part])), 'COPY ')[0]);
    const from = 'COPY (SELECT "id", "note" FROM ONLY "public"."orders" WHERE';
    assert.deepEqual(copies, [
      `${from} ctid >= '(0,0)'::pg_catalog.tid AND ctid < '(2048,0)'::pg_catalog.tid) TO STDOUT;`,
      `${from} ctid >= '(2048,0)'::pg_catalog.tid) TO STDOUT;`,
    ]);
  });

  it('reads a table on its own, without what inherits from it', () => {
    for (const blocks of [null, { start: 0, end: 1 }]) {
      const sql = copyOutSql(run([{ table: shop, blocks }]));
      assert.equal(linesOf(sql, 'COPY ').length, 1);
      assert.doesNotMatch(sql, /(?:LOCK TABLE|FROM) "public"/);
    }
  });

  it('is ASCII, one line for each statement, and shows psql no variable but its own, whatever the names are', () => {
    for (const name of oddNames) {
      const table = { ...shop, schema: `s ${name}`, name, columns: [name, 'id'] };
      for (const part of [whole(table), { table, blocks: { start: 0, end: 9 } }]) {
        const sql = copyOutSql(run([part]));
        assert.match(sql, /^[\n\x20-\x7e]*$/);
        assert.equal(sql.split('\n').length, copyOutSql(run([whole(shop)])).split('\n').length);
        // Outside of quotes: what psql would look at.
        const bare = sql.replaceAll(/"(?:[^"]|"")*"|E?'(?:[^'\\]|''|\\.)*'/g, '');
        assert.deepEqual(bare.match(/(?<!:):[A-Za-z"'][\w]*/g), [':is_there', ':rows_0'], bare);
        assert.deepEqual(bare.match(/\\[a-z.]+.*/g), [
          '\\g /dev/null',
          '\\qecho ',
          '\\gset',
          '\\if :is_there',
          '\\qecho ',
          '\\gset',
          '\\qecho ',
          '\\else',
          '\\set rows_0 another',
          '\\endif',
          '\\qecho  :rows_0',
          '\\qecho ',
        ]);
      }
    }
  });

  it('counts the rows of every part, and writes all counts in front of the last line', () => {
    const other = { ...shop, oid: 16_400, name: 'items' };
    const sql = copyOutSql(run([whole(shop), whole(other)]));
    assert.match(sql, /pg_stat_get_xact_tuples_returned\(16390\)[^;]*AS rows_0, .* AS is_there \\gset/);
    assert.match(sql, /pg_stat_get_xact_tuples_returned\(16400\)[^;]*AS rows_1 \\gset/);
    assert.deepEqual(linesOf(sql, String.raw`\qecho '-- rows:`), [String.raw`\qecho '-- rows:' :rows_0 :rows_1`]);
  });

  it('sets what a role or a database may have set otherwise', () => {
    const sql = copyOutSql(run([whole(shop)], { extraFloatDigits: 0, encoding: 'LATIN1' }));
    const [settings = ''] = linesOf(sql, 'SELECT pg_catalog.set_config');
    for (const setting of [
      "('search_path', '')",
      "('DateStyle', 'ISO')",
      "('extra_float_digits', '0')",
      "('row_security', 'off')",
      "('lock_timeout', '30s')",
      "('statement_timeout', '0')",
      "('idle_in_transaction_session_timeout', '0')",
    ]) {
      assert.ok(settings.includes(setting), setting);
    }
    assert.match(copyOutSql(run([whole(shop)])), /\('extra_float_digits', '3'\)/);
    assert.deepEqual(linesOf(sql, 'SET client_encoding'), [String.raw`SET client_encoding = 'LATIN1' \;`]);
    assert.match(sql, /\\nSET client_encoding = ''LATIN1'';\\n/);
  });
});
