import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { assertEmptyDatabase, assertFailure, assertNoDatabase, assertNoSession } from '../support/cli-assertions.ts';
import { assertSameDatabase } from '../support/database-difference.ts';
import { fingerprintDatabase } from '../support/database-fingerprint.ts';
import { createSmallDatabase } from '../support/sample-database.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';

let teller: StoryTeller;
let story: Story;
before(async () => {
  teller = await openStoryTeller();
  await createSmallDatabase(teller.cluster, 'small');
  // pg_dump's scripts commit around large objects: without one, a failed restore leaves nothing at all.
  await teller.cluster.query('small', 'SELECT lo_unlink(oid) FROM pg_largeobject_metadata');
  story = teller.story();
  await story.create('small', `${aesKey} --label archive`);
  await story.create('small', `${aesKey} --label script --format plain`);
});
after(async () => await teller[Symbol.asyncDispose]());

describe('a target that is not empty', () => {
  const contents = {
    'a table': ['CREATE TABLE theirs (n int)', /it has 1 relation$/],
    'a table in another schema': ['CREATE SCHEMA s; CREATE TABLE s.theirs (n int)', /1 relation and 1 schema$/],
    'a function': ['CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$', /it has 1 function$/],
    'a type': [`CREATE TYPE mood AS ENUM ('good')`, /it has 1 type$/],
    'a large object': [`SELECT lo_from_bytea(4711, 'x')`, /it has 1 large object$/],
  } as const;
  for (const [what, [sql, message]] of Object.entries(contents)) {
    it(`because of ${what} is refused, and stays as it is`, async () => {
      const target = `not_empty_${what.replaceAll(' ', '_')}`;
      await teller.cluster.createDatabase(target);
      await teller.cluster.runSql(target, sql);
      const before = await fingerprintDatabase(teller.cluster, target);
      for (const label of ['archive', 'script']) {
        const run = await story.run(`restore --label ${label} ${aesKey} --target ${target}`);
        assertFailure(run, {
          code: 50,
          message: /^database "not_empty_.*" is not empty: /,
          hint: /--create-db.*--clean/,
        });
        assert.match(run.stderr.split('\n')[0] ?? '', message);
      }
      assertSameDatabase(await fingerprintDatabase(teller.cluster, target), before);
    });
  }

  it('is refused by --create-db when it exists, empty or not', async () => {
    await teller.cluster.createDatabase('exists');
    const run = await story.run(`restore --label archive ${aesKey} --target exists --create-db`);
    assertFailure(run, { code: 50, message: /^database "exists" exists already$/, hint: /Choose another name/ });
    await assertEmptyDatabase(teller.cluster, 'exists');
  });
});

describe('a restore that fails in the middle', () => {
  for (const label of ['archive', 'script'] as const) {
    it(`leaves the target empty, and drops one that it made: ${label}`, async () => {
      const failing = teller.story();
      const source = `source_of_${label}`;
      await teller.cluster.createDatabase(source, { from: 'small' });
      // Privileges come last in a dump.
      await teller.cluster.runSql(source, `CREATE ROLE here_${label}; GRANT SELECT ON visits TO here_${label}`);
      await failing.create(source, `${aesKey} --format ${label === 'archive' ? 'custom' : 'plain'}`);
      await teller.cluster.query('postgres', `ALTER ROLE here_${label} RENAME TO gone_${label}`);
      await teller.cluster.createDatabase(failing.target);
      const expected = {
        code: 10,
        message: new RegExp(`^(?:pg_restore|psql) failed .*role "here_${label}" does not exist`),
        hint: /--no-owner and --no-privileges/,
      };
      assertFailure(await failing.run(`restore ${aesKey} --target ${failing.target}`), expected);
      await assertEmptyDatabase(teller.cluster, failing.target);
      await assertNoSession(teller.cluster, failing.target);
      assertFailure(await failing.run(`restore ${aesKey} --target made --create-db`), expected);
      await assertNoDatabase(teller.cluster, 'made');
      if (label === 'script') return;
      await failing.succeed(`restore ${aesKey} --target ${failing.target} --no-privileges`);
    });
  }

  it('of an archive with --clean leaves what was there', async () => {
    const failing = teller.story();
    await teller.cluster.createDatabase('cleaned', { from: 'small' });
    await teller.cluster.runSql('cleaned', 'CREATE ROLE then_here; GRANT SELECT ON visits TO then_here');
    await failing.create('cleaned');
    await teller.cluster.query('postgres', 'ALTER ROLE then_here RENAME TO then_gone');
    await teller.cluster.query('cleaned', 'UPDATE people SET note = $$changed since$$');
    const before = await fingerprintDatabase(teller.cluster, 'cleaned');
    const run = await failing.run(`restore ${aesKey} --target cleaned --clean`);
    assertFailure(run, { code: 10, message: /role "then_here" does not exist/ });
    assertSameDatabase(await fingerprintDatabase(teller.cluster, 'cleaned'), before);
  });

  it('says so when a script with large objects has committed a part of it', async () => {
    const failing = teller.story();
    await teller.cluster.createDatabase('with_large_object', { from: 'small' });
    await teller.cluster.runSql(
      'with_large_object',
      `SELECT lo_from_bytea(4712, 'x'); CREATE ROLE late; GRANT SELECT ON visits TO late`,
    );
    await failing.create('with_large_object', `${aesKey} --format plain`);
    await teller.cluster.query('postgres', 'ALTER ROLE late RENAME TO too_late');
    await teller.cluster.createDatabase(failing.target);
    const run = await failing.run(`restore ${aesKey} --target ${failing.target}`);
    assertFailure(run, {
      code: 10,
      message: /role "late" does not exist.* \(the script contains COMMIT: a part of it may be in the database\)$/,
    });
    const made = await failing.run(`restore ${aesKey} --target made --create-db`);
    assert.equal(made.code, 10);
    await assertNoDatabase(teller.cluster, 'made');
  });

  it('leaves the source as it was', async () => {
    const target = await story.run(`restore --label archive ${aesKey} --target the_same --create-db`);
    assert.equal(target.code, 0, target.stderr);
    const [source, restored] = [
      await fingerprintDatabase(teller.cluster, 'small'),
      await fingerprintDatabase(teller.cluster, 'the_same'),
    ];
    assertSameDatabase(restored, source);
  });
});
