import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BackupError } from '../../src/core/backup-error.ts';
import type { ByteStream } from '../../src/core/byte-stream.ts';
import { resolveConnection } from '../../src/postgres/connection.ts';
import {
  dataScriptLastLine,
  dataScriptPreamble,
  readDataPieces,
  type DataScriptChoice,
} from '../../src/postgres/data-script.ts';
import { loadRows } from '../../src/postgres/load-rows.ts';
import { openSession } from '../../src/postgres/session.ts';
import { startCluster, type Cluster } from '../support/postgres-cluster.ts';
import { waitUntil } from '../support/wait-until.ts';

let cluster: Cluster;
before(async () => {
  cluster = await startCluster();
  await cluster.createDatabase('shop');
  await cluster.runSql('shop', 'CREATE TABLE orders (id int, note text); CREATE TABLE items (id int)');
});
after(async () => await cluster[Symbol.asyncDispose]());

const orders = 'COPY "public"."orders" ("id", "note") FROM stdin;\n';
const items = 'COPY "public"."items" ("id") FROM stdin;\n';
const script = (body: string, encoding = 'UTF8') =>
  Buffer.from(`${dataScriptPreamble(encoding)}\n${body}${dataScriptLastLine}\n`, 'latin1');

/** In chunks of so many bytes, each of which is overwritten when the next one is asked for. */
async function* chunked(bytes: Buffer, size: number): ByteStream {
  for (let start = 0; start < bytes.byteLength; start += size) {
    const chunk = Buffer.from(bytes.subarray(start, start + size));
    yield chunk;
    chunk.fill(0);
  }
}

async function load(source: ByteStream, signal?: AbortSignal, choice: DataScriptChoice = {}): Promise<void> {
  const connection = resolveConnection(cluster.url('shop'), { HOME: '/nonexistent' });
  await using session = await openSession(connection, { applicationName: 'load-rows', signal });
  await loadRows(session, readDataPieces(source, choice));
}

/** What is in `orders`, which is empty afterwards. */
async function takeOrders(): Promise<readonly { id: number; note: string | null }[]> {
  const rows = await cluster.query<{ id: number; note: string | null }>('shop', 'SELECT * FROM orders ORDER BY id');
  await cluster.query('shop', 'TRUNCATE orders, items');
  return rows;
}

async function assertNoSessionLeft(): Promise<void> {
  const sql = `SELECT FROM pg_stat_activity WHERE application_name = 'load-rows'`;
  await waitUntil(async () => (await cluster.query('shop', sql)).length === 0, 'no session is left');
}

describe('loading the rows of a data script', () => {
  it('brings every byte, whatever the sizes of chunks and of messages', async () => {
    const notes = [0, 1, 65_535, 65_536, 65_537, 200_000].map((length) => 'x'.repeat(length));
    const rows = notes.map((note, id) => `${id}\t${note}\n`).join('');
    const bytes = script(`${orders}${rows}\\.\n\n${items}1\n2\n\\.\n\n`);
    for (const size of [1000, 64 * 1024, 64 * 1024 + 5, 1024 * 1024]) {
      await load(chunked(bytes, size));
      assert.equal((await cluster.query('shop', 'SELECT FROM items')).length, 2);
      assert.deepEqual(
        await takeOrders(),
        notes.map((note, id) => ({ id, note })),
      );
    }
  });

  it('takes rows in the encoding that the script names', async () => {
    await load(chunked(script(`${orders}1\t\xe4\n\\.\n\n`, 'LATIN1'), 1000));
    assert.deepEqual(await takeOrders(), [{ id: 1, note: 'ä' }]);
  });

  it('is content with no rows, and with no tables', async () => {
    await load(chunked(script(`${orders}\\.\n\n`), 1000));
    await load(chunked(script(''), 1000));
    assert.deepEqual(await takeOrders(), []);
  });

  it('freezes rows where they are all of their table', async () => {
    await load(chunked(script(`${orders}1\ta\n\\.\n\n`), 1000), undefined, {
      frozen: new Set(['"public"."orders"']),
    });
    await cluster.query('shop', 'CREATE EXTENSION IF NOT EXISTS pageinspect');
    const sql = `SELECT (t_infomask & 768) = 768 AS frozen FROM heap_page_items(get_raw_page('orders', 0))`;
    assert.deepEqual(await cluster.query('shop', sql), [{ frozen: true }]);
    await takeOrders();
  });
});

describe('rows of which not all can be loaded leave nothing', () => {
  const many = Array.from({ length: 20_000 }, (_, id) => `${id}\tnote ${id}\n`).join('');

  it('where the server refuses one, and says which', async () => {
    const bytes = script(`${items}1\n\\.\n\n${orders}${many}hidden\tx\n${many}\\.\n\n`);
    await assert.rejects(load(chunked(bytes, 4096)), {
      kind: 'postgres',
      message: /^query failed on .*: invalid input syntax for type integer: "hidden" \(COPY orders, line 20001\)$/,
    });
    assert.equal((await cluster.query('shop', 'SELECT FROM items')).length, 0);
    assert.deepEqual(await takeOrders(), []);
    await assertNoSessionLeft();
  });

  it('where the server takes another number of rows than there must be', async () => {
    await cluster.query(
      'shop',
      `CREATE FUNCTION drop_some() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN IF NEW.id % 7 = 0 THEN RETURN NULL; END IF; RETURN NEW; END $$;
       CREATE TRIGGER drop_some BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION drop_some()`,
    );
    const bytes = script(`${items}1\n\\.\n\n${orders}${many}\\.\n\n`);
    const counts = (count: number) =>
      new Map([
        ['"public"."items"', 1],
        ['"public"."orders"', count],
      ]);
    await assert.rejects(load(chunked(bytes, 4096), undefined, { rows: counts(20_000) }), {
      kind: 'integrity',
      message: '17142 rows of table "public"."orders" came back, but 20000 were backed up',
    });
    assert.equal((await cluster.query('shop', 'SELECT FROM items')).length, 0);
    assert.deepEqual(await takeOrders(), []);
    await assertNoSessionLeft();
    await load(chunked(bytes, 4096), undefined, { rows: counts(17_142) });
    assert.equal((await takeOrders()).length, 17_142);
    await cluster.query('shop', 'DROP TRIGGER drop_some ON orders');
  });

  it('where the script fails at its end', async () => {
    async function* failing(): ByteStream {
      yield* chunked(script(`${orders}${many}\\.\n\n`).subarray(0, -1), 4096);
      throw new BackupError('integrity', 'damaged');
    }
    await assert.rejects(load(failing()), { kind: 'integrity', message: 'damaged' });
    assert.deepEqual(await takeOrders(), []);
    await assertNoSessionLeft();
  });

  it('where the script ends in the middle of the rows', async () => {
    const bytes = script(`${orders}${many}\\.\n\n`);
    await assert.rejects(load(chunked(bytes.subarray(0, bytes.byteLength / 2), 4096)), { kind: 'integrity' });
    assert.deepEqual(await takeOrders(), []);
    await assertNoSessionLeft();
  });

  it('where the session is ended by the server', async () => {
    async function* slow(): ByteStream {
      yield script(`${orders}${many}`).subarray(0, -dataScriptLastLine.length - 1);
      const sql = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'load-rows'`;
      await cluster.query('shop', sql);
      await assertNoSessionLeft();
      for (let chunk = 0; chunk < 100; chunk += 1) yield Buffer.from(many);
    }
    await assert.rejects(load(slow()), {
      kind: 'postgres',
      message: /^query failed on .*(?:terminat|EPIPE|ECONNRESET)/,
    });
    assert.deepEqual(await takeOrders(), []);
  });

  it('where somebody interrupts it, also while the server waits for a lock', async () => {
    const holder = await cluster.connect('shop');
    await holder.query('BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE');
    const controller = new AbortController();
    const loading = load(chunked(script(`${orders}${many}\\.\n\n`), 4096), controller.signal);
    loading.catch(() => {});
    const waiting = `SELECT FROM pg_stat_activity WHERE application_name = 'load-rows' AND wait_event_type = 'Lock'`;
    await waitUntil(async () => (await cluster.query('shop', waiting)).length === 1, 'it waits for the lock');
    await sleep(50);
    controller.abort(new BackupError('usage', 'interrupted'));
    await assert.rejects(loading, { message: 'interrupted' });
    await assertNoSessionLeft();
    await holder.end();
    assert.deepEqual(await takeOrders(), []);
  });
});
