import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { resolveConnection } from '../../src/postgres/connection.ts';
import { localeOf, readServerInfo } from '../../src/postgres/server-info.ts';
import { openSession, type Session } from '../../src/postgres/session.ts';
import {
  countUserObjects,
  createDatabase,
  databaseExists,
  describeContents,
  dropDatabase,
} from '../../src/postgres/target-database.ts';
import { startCluster, type Cluster } from '../support/postgres-cluster.ts';

let cluster: Cluster;
before(async () => {
  cluster = await startCluster();
});
after(async () => await cluster[Symbol.asyncDispose]());

async function open(database: string): Promise<Session> {
  const connection = resolveConnection(cluster.url(database), { HOME: '/nonexistent' });
  return await openSession(connection, { applicationName: 'librelog-backup' });
}

describe('the target of a restore', () => {
  it('is made with the locale wanted, found, and dropped with whoever is in it', async () => {
    const name = 'odd "name" \\ ünï';
    await using session = await open('postgres');
    await createDatabase(session, name, { locale: { encoding: 'LATIN1', collate: 'C', ctype: 'C' } });
    assert.equal(await databaseExists(session, name), true);
    const other = { locale: { encoding: 'UTF8', collate: 'C', ctype: 'C' } };
    await assert.rejects(createDatabase(session, name, other), { kind: 'conflict' });
    await using inside = await open(name);
    assert.equal((await readServerInfo(inside)).encoding, 'LATIN1');
    await dropDatabase(session, name);
    assert.equal(await databaseExists(session, name), false);
    await dropDatabase(session, name);
  });

  it('sorts by ICU where that is wanted', async () => {
    const locale = {
      encoding: 'UTF8',
      collate: 'C',
      ctype: 'C',
      localeProvider: 'icu',
      locale: 'de-u-co-phonebk',
    } as const;
    await using session = await open('postgres');
    await createDatabase(session, 'telephone', { locale });
    await using inside = await open('telephone');
    assert.deepEqual(localeOf(await readServerInfo(inside)), locale);
    const names = `SELECT name FROM (VALUES ('Ag'), ('Äx'), ('Af')) AS names (name) ORDER BY name`;
    assert.deepEqual(
      (await inside.query(names)).map(({ name }) => name),
      ['Äx', 'Af', 'Ag'],
    );
    const newer = { ...locale, localeProvider: 'builtin', locale: 'C.UTF-8' } as const;
    await assert.rejects(createDatabase(session, 'newer', { locale: newer }), { kind: 'postgres', message: /too old/ });
  });

  it('cannot have a locale that the server does not know', async () => {
    await using session = await open('postgres');
    const wanted = { locale: { encoding: 'UTF8', collate: 'xx_XX', ctype: 'xx_XX' } };
    await assert.rejects(createDatabase(session, 'x', wanted), {
      kind: 'postgres',
      message: /invalid locale name: "xx_XX"/,
    });
  });

  const contents: readonly (readonly [string, string | null])[] = [
    ['SELECT 1', null],
    ['CREATE EXTENSION pgcrypto; CREATE EXTENSION hstore; CREATE EXTENSION postgres_fdw;', null],
    ['CREATE TEMPORARY TABLE t (a int)', null],
    ['CREATE TABLE t (a int, b text[])', '1 relation'],
    [
      'CREATE TABLE t (a int GENERATED ALWAYS AS IDENTITY); CREATE VIEW v AS SELECT 1; CREATE MATERIALIZED VIEW m AS SELECT 1',
      '4 relations',
    ],
    ["CREATE TYPE a AS ENUM ('x'); CREATE DOMAIN b AS int; CREATE TYPE c AS (x int);", '3 types'],
    ["CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", '1 function'],
    ['CREATE SCHEMA s; CREATE SCHEMA t', '2 schemas'],
    ['SELECT lo_create(7)', '1 large object'],
    ['CREATE PUBLICATION p; CREATE COLLATION c FROM "C"', '2 other objects'],
    [
      'CREATE CAST (inet AS bigint) WITH INOUT; CREATE LANGUAGE l HANDLER plpgsql_call_handler; CREATE ACCESS METHOD m TYPE TABLE HANDLER heap_tableam_handler; CREATE TEXT SEARCH TEMPLATE t (LEXIZE = dsimple_lexize)',
      '4 other objects',
    ],
    ['CREATE SCHEMA s; CREATE TABLE s.t (); SELECT lo_create(0)', '1 relation, 1 schema, and 1 large object'],
  ];
  for (const [sql, expected] of contents) {
    it(`has ${expected ?? 'nothing'} after ${sql}`, async () => {
      await cluster.createDatabase('target');
      try {
        await cluster.runSql('target', sql);
        await using session = await open('target');
        assert.equal(describeContents(await countUserObjects(session)), expected);
      } finally {
        await cluster.dropDatabase('target');
      }
    });
  }
});
