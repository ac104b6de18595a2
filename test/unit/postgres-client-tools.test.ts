import assert from 'node:assert/strict';
import { symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { chooseTool, findClientTool, parseToolVersion, type ClientTool } from '../../src/postgres/client-tools.ts';
import { makeFakeTools } from '../support/fake-tools/fake-tool.ts';

describe('finding a client program', () => {
  it('prefers the major of the server, then the nearest newer one', () => {
    const tools = [14, 18, 16, 17].map((major): ClientTool => ({
      name: 'pg_dump',
      path: `/${major}`,
      version: `${major}.1`,
      major,
    }));
    const choose = (serverMajor?: number) => chooseTool(tools, serverMajor)?.major;
    assert.equal(choose(14), 14);
    assert.equal(choose(15), 16);
    assert.equal(choose(17), 17);
    assert.equal(choose(19), undefined);
    assert.equal(choose(), 18);
  });

  it('looks along PATH, and tells who it is', async () => {
    using older = makeFakeTools();
    using newer = makeFakeTools();
    older.add('pg_dump', '', '98.4');
    newer.add('pg_dump', '', '99.1');
    const env = { PATH: `relative:${older.folder}:${newer.folder}` };
    const expected = { name: 'pg_dump', path: join(newer.folder, 'pg_dump'), version: '99.1', major: 99 };
    assert.deepEqual(await findClientTool('pg_dump', { serverMajor: 99, env }), expected);
    assert.deepEqual(await findClientTool('pg_dump', { env }), expected);
  });

  it('takes the first of two with the same major', async () => {
    using first = makeFakeTools();
    using second = makeFakeTools();
    first.add('psql', '', '99.1');
    second.add('psql', '', '99.2');
    const env = { PATH: `${first.folder}:${second.folder}` };
    assert.equal((await findClientTool('psql', { serverMajor: 99, env })).path, join(first.folder, 'psql'));
  });

  it('looks only into the folder given', async () => {
    using tools = makeFakeTools();
    const options = { binDir: tools.folder, env: { PATH: '/usr/bin' } };
    await assert.rejects(findClientTool('pg_dump', options), {
      kind: 'postgres',
      message: `cannot find pg_dump in "${tools.folder}"`,
      hint: /postgresql-client/,
    });
    tools.add('pg_dump', '');
    assert.equal((await findClientTool('pg_dump', options)).major, 15);
  });

  it('names both versions when all are too old', async () => {
    using tools = makeFakeTools();
    tools.add('pg_dump', '', '13.23');
    await assert.rejects(findClientTool('pg_dump', { serverMajor: 16, binDir: tools.folder, env: {} }), {
      kind: 'postgres',
      message: `pg_dump 13.23 ("${join(tools.folder, 'pg_dump')}") is too old for PostgreSQL 16`,
      hint: /postgresql-client-16/,
    });
  });

  it('passes over what only has the name', async () => {
    using tools = makeFakeTools();
    tools.add('pg_dump', '', '15.1');
    writeFileSync(join(tools.folder, 'psql'), 'no program');
    await assert.rejects(findClientTool('psql', { binDir: tools.folder, env: {} }), { message: /cannot find psql/ });
    writeFileSync(join(tools.folder, 'psql'), '#!/bin/bash\necho something else 99', { mode: 0o755 });
    await assert.rejects(findClientTool('psql', { binDir: tools.folder, env: {} }), { message: /cannot find psql/ });
  });

  it("passes over Debian's wrapper, which chooses a version of its own", async () => {
    using tools = makeFakeTools();
    const wrapper = tools.add('pg_wrapper' as 'psql', '', '99.9');
    symlinkSync(wrapper.path, join(tools.folder, 'psql'));
    await assert.rejects(findClientTool('psql', { binDir: tools.folder, env: {} }), { message: /cannot find psql/ });
  });

  for (const [text, version, major] of [
    ['pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)', '15.18', 15],
    ['pg_dump (PostgreSQL) 19beta1', '19beta1', 19],
    ['starting container\npg_dump (PostgreSQL) 17.0\n', '17.0', 17],
    ['psql (PostgreSQL) 18devel', '18devel', 18],
  ] as const) {
    it(`reads ${JSON.stringify(text)}`, () => assert.deepEqual(parseToolVersion(text), { version, major }));
  }
  it('reads no version out of other text', () => assert.equal(parseToolVersion('mysqldump 8.0'), null));
});
