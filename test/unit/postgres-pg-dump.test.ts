import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { collect } from '../../src/core/byte-stream.ts';
import { resolveConnection } from '../../src/postgres/connection.ts';
import { planPgDump, type DumpFormat } from '../../src/postgres/dump-plan.ts';
import { startPgDump } from '../../src/postgres/pg-dump.ts';
import { fakePgDump, makeFakeTools, type FakeTools } from '../support/fake-tools/fake-tool.ts';

const maxBytes = 64 * 1024 * 1024;
const connection = resolveConnection('postgresql://ann:hunter2@h/shop?sslpassword=hunter3&application_name=nightly', {
  HOME: '/nonexistent',
});

describe('pg_dump as a source', () => {
  let tools: FakeTools;
  beforeEach(() => (tools = makeFakeTools()));
  afterEach(() => tools[Symbol.dispose]());

  const start = (body: string, options: { format?: DumpFormat; signal?: AbortSignal; graceMs?: number } = {}) => {
    const { format = 'custom', ...rest } = options;
    return startPgDump(
      { tool: tools.add('pg_dump', body), plan: planPgDump({ format, filters: {} }), connection },
      rest,
    );
  };
  const dump = async (body: string, format: DumpFormat = 'custom') => {
    await using process = start(body, { format });
    return await collect(process.output, maxBytes);
  };

  it('gives every byte of a dump that went well', async () => {
    const bytes = await dump(fakePgDump.whole);
    assert.equal(bytes.byteLength, 300_005);
    assert.equal(bytes.subarray(0, 5).toString(), 'PGDMP');
  });

  for (const [what, body, message] of [
    ['dies half-way', fakePgDump.diesHalfWay, 'pg_dump failed (exit code 1): query failed: lost'],
    ['is killed half-way', fakePgDump.killedHalfWay, 'pg_dump failed (killed by SIGKILL)'],
    ['writes nothing', fakePgDump.silent, 'pg_dump wrote nothing'],
    ['writes no archive', fakePgDump.writesOtherThings, 'pg_dump wrote something that is not an archive'],
    ['fails after all output', fakePgDump.failsAfterAll, 'pg_dump failed (exit code 3)'],
  ] as const) {
    it(`fails when pg_dump ${what}`, async () => {
      await assert.rejects(dump(body), { kind: 'postgres', message });
    });
  }

  it('gives what came before the failure, and only then fails', async () => {
    await using process = start(fakePgDump.diesHalfWay);
    let sizeBytes = 0;
    await assert.rejects(async () => {
      for await (const chunk of process.output) sizeBytes += chunk.byteLength;
    });
    assert.equal(sizeBytes, 300_005);
  });

  const lastLines = String.raw`--\n-- PostgreSQL database dump complete\n--\n\n`;
  for (const end of [lastLines, String.raw`${lastLines}\\unrestrict Zq3\n\n`]) {
    it(`takes a script that ends with ${end}`, async () => {
      assert.match((await dump(`printf -- '${end}'`, 'plain')).toString(), /dump complete/);
    });
  }
  it('fails when a script has no last line', async () => {
    await assert.rejects(dump('echo "SELECT 1;"', 'plain'), {
      message: 'pg_dump wrote a script without its last line',
    });
    await assert.rejects(dump('exit 0', 'plain'), { message: 'pg_dump wrote nothing' });
  });

  it('fails when pg_dump cannot be started', async () => {
    const tool = { name: 'pg_dump', path: join(tools.folder, 'none'), version: '15.18', major: 15 } as const;
    await using process = startPgDump({ tool, plan: planPgDump({ format: 'custom', filters: {} }), connection });
    await assert.rejects(collect(process.output, maxBytes), { kind: 'postgres', message: /^cannot start ".*none"$/ });
  });

  it('keeps its warnings apart', async () => {
    await using process = start(fakePgDump.warns);
    await collect(process.output, maxBytes);
    assert.deepEqual(process.warnings, ['pg_dump: warning: there are circular foreign-key constraints']);
  });

  it('keeps the message short, and secrets out of it', async () => {
    const body = `for i in $(seq 100000); do echo "line $i of the password hunter2 and hunter3"; done >&2
      echo 'pg_dump: error: hunter2 is wrong.' >&2; exit 1`;
    await assert.rejects(dump(body), (error: Error) => {
      assert.equal(error.message, 'pg_dump failed (exit code 1): [secret] is wrong');
      return true;
    });
    await assert.rejects(
      dump('for i in $(seq 100000); do echo "password hunter2 $i"; done >&2; exit 1'),
      (error: Error) => {
        assert.doesNotMatch(error.message, /hunter/);
        assert.match(error.message, /100000/);
        assert.ok(error.message.length < 1000);
        return true;
      },
    );
  });

  it('ends pg_dump when the signal aborts, and throws its reason when pg_dump is gone', async () => {
    const abort = new AbortController();
    await using process = start(`echo $$ > ${tools.folder}/pid; ${fakePgDump.hangs}`, { signal: abort.signal });
    const reading = collect(process.output, maxBytes);
    await waitFor(join(tools.folder, 'pid'));
    const pid = Number(readFileSync(join(tools.folder, 'pid'), 'utf8'));
    abort.abort(new Error('interrupted'));
    await assert.rejects(reading, { message: 'interrupted' });
    assert.equal(isAlive(pid), false);
  });

  it('is not held up by what a wrapper left behind', async () => {
    const abort = new AbortController();
    await using process = start('printf PGDMP; sleep 5 & wait', { signal: abort.signal });
    const reading = collect(process.output, maxBytes);
    await sleep(200);
    const abortedAt = performance.now();
    abort.abort(new Error('interrupted'));
    await assert.rejects(reading, { message: 'interrupted' });
    assert.ok(performance.now() - abortedAt < 3000);
  });

  it('kills a pg_dump that does not end by itself', async () => {
    const abort = new AbortController();
    await using process = start(`echo $$ > ${tools.folder}/pid; ${fakePgDump.ignoresSigterm}`, {
      signal: abort.signal,
      graceMs: 100,
    });
    const reading = collect(process.output, maxBytes);
    await waitFor(join(tools.folder, 'pid'));
    abort.abort(new Error('interrupted'));
    await assert.rejects(reading, { message: 'interrupted' });
    assert.equal(isAlive(Number(readFileSync(join(tools.folder, 'pid'), 'utf8'))), false);
  });

  it('ends pg_dump when the reader stops early, or never starts', async () => {
    const body = `echo $$ > ${tools.folder}/pid; printf PGDMP; yes`;
    const pidOf = () => Number(readFileSync(join(tools.folder, 'pid'), 'utf8'));
    {
      await using process = start(body);
      for await (const _chunk of process.output) break;
    }
    assert.equal(isAlive(pidOf()), false);
    rmSync(join(tools.folder, 'pid'));
    {
      await using _process = start(body);
      await waitFor(join(tools.folder, 'pid'));
    }
    assert.equal(isAlive(pidOf()), false);
  });

  it('starts nothing when the signal has aborted already', () => {
    assert.throws(() => start(`touch ${tools.folder}/started`, { signal: AbortSignal.abort(new Error('before')) }), {
      message: 'before',
    });
    assert.equal(existsSync(join(tools.folder, 'started')), false);
  });
});

describe('what a client program is given', () => {
  it('no secret in its arguments or its environment, a small environment, and the secrets by file', async () => {
    using tools = makeFakeTools();
    const shown = `
      tr '\\0' '\\n' < /proc/$$/cmdline > ${tools.folder}/cmdline; tr '\\0' '\\n' < /proc/$$/environ > ${tools.folder}/environ
      for i in 1 2; do cat "$PGPASSFILE"; cat "$PGSERVICEFILE"; stat -Lc '%a %F' "$PGPASSFILE"; done > ${tools.folder}/files
      ${fakePgDump.whole}`;
    process.env['LIBRELOG_BACKUP_KEY'] = 'hunter4';
    process.env['AWS_SECRET_ACCESS_KEY'] = 'hunter5';
    process.env['PGPASSWORD'] = 'hunter6';
    try {
      const plan = planPgDump({ format: 'custom', filters: { tables: ['t'] } });
      await using dump = startPgDump({ tool: tools.add('pg_dump', shown), plan, connection });
      await collect(dump.output, maxBytes);
    } finally {
      for (const name of ['LIBRELOG_BACKUP_KEY', 'AWS_SECRET_ACCESS_KEY', 'PGPASSWORD']) delete process.env[name];
    }
    const [cmdline, environ, files] = ['cmdline', 'environ', 'files'].map((name) =>
      readFileSync(join(tools.folder, name), 'utf8'),
    );
    assert.match(
      cmdline ?? '',
      /--table=t\n--dbname=host='h' port='5432' user='ann' dbname='shop' application_name='nightly'/,
    );
    assert.doesNotMatch(`${cmdline}${environ}`, /hunter/);
    const names = (environ ?? '').split('\n').map((line) => line.split('=')[0] ?? '');
    // The last two are how stdbuf gives pg_dump its buffer.
    const expected =
      /^(|PATH|HOME|LANG|LC_CTYPE|LC_MESSAGES|TZ|TMPDIR|(LD|DYLD)_LIBRARY_PATH|SSL_CERT_(FILE|DIR)|PG(PASS|SERVICE)FILE|LD_PRELOAD|_STDBUF_O)$/;
    assert.deepEqual(
      names.filter((name) => !expected.test(name)),
      [],
    );
    const once = 'h:5432:*:*:hunter2\n[librelog-backup]\nsslpassword=hunter3\n600 regular file\n';
    assert.equal(files, once + once);
  });
});

async function waitFor(path: string): Promise<void> {
  for (let waits = 0; waits < 200 && !existsSync(path); waits += 1) await sleep(20);
  await sleep(50);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
