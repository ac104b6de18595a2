import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BackupError } from '../../src/core/backup-error.ts';
import type { ByteStream } from '../../src/core/byte-stream.ts';
import { resolveConnection } from '../../src/postgres/connection.ts';
import { listArchive, restoreArchive } from '../../src/postgres/pg-restore.ts';
import { fakeSource, feedChunk, notesEnd, sawEnd, stalledSource } from '../support/fake-tools/fake-feed.ts';
import { makeFakeTools, type FakeTools } from '../support/fake-tools/fake-tool.ts';

const connection = resolveConnection('postgresql://ann:hunter2@h/shop', { HOME: '/nonexistent' });

let tools: FakeTools;
beforeEach(() => (tools = makeFakeTools()));
afterEach(() => tools[Symbol.dispose]());

interface RestoreOptions {
  readonly allowEarlyExit?: boolean;
  readonly signal?: AbortSignal;
  readonly graceMs?: number;
}

async function restore(body: string, from: ByteStream, options: RestoreOptions = {}) {
  return await restoreArchive({ tool: tools.add('pg_restore', body), args: ['--clean'], connection, ...options }, from);
}

async function list(body: string, from: ByteStream, readToEnd = false): Promise<string> {
  return await listArchive({ tool: tools.add('pg_restore', body), readToEnd }, from);
}

/** Gives one chunk; whether that was all shows a while after. */
async function* endsLate(error?: Error): ByteStream {
  yield feedChunk;
  await sleep(300);
  if (error !== undefined) throw error;
}

describe('pg_restore as a sink', () => {
  it('gets every byte, and its arguments', async () => {
    const body = `printf '%s ' "$@" > ${tools.folder}/args; ${notesEnd(tools)}; echo 'pg_restore: warning: odd' >&2`;
    const report = await restore(body, fakeSource(20).stream);
    assert.deepEqual(report, { warnings: ['pg_restore: warning: odd'], endedEarly: false });
    assert.equal(readFileSync(join(tools.folder, 'input')).byteLength, 20 * feedChunk.byteLength);
    assert.equal(
      readFileSync(join(tools.folder, 'args'), 'utf8'),
      "--clean --exit-on-error --single-transaction --no-password --dbname=host='h' port='5432' user='ann' dbname='shop' ",
    );
  });

  it('is killed before its input closes when the source fails', async () => {
    const failure = new BackupError('integrity', 'cut off');
    await assert.rejects(restore(notesEnd(tools), fakeSource(5, failure).stream), failure);
    assert.equal(sawEnd(tools), false);
  });

  it('is killed before its input closes even when it ignores SIGTERM', async () => {
    const body = `trap '' TERM; ${notesEnd(tools)}`;
    await assert.rejects(restore(body, fakeSource(5, new Error('cut off')).stream, { graceMs: 100 }), {
      message: 'cut off',
    });
    assert.equal(sawEnd(tools), false);
  });

  it('is killed before its input closes when the signal aborts, also while the source waits', async () => {
    const abort = new AbortController();
    async function* waiting(): ByteStream {
      yield feedChunk;
      abort.abort(new Error('interrupted'));
      await new Promise(() => {});
    }
    await assert.rejects(restore(notesEnd(tools), waiting(), { signal: abort.signal }), { message: 'interrupted' });
    assert.equal(sawEnd(tools), false);
  });

  it('fails at once when pg_restore fails, though the source waits', async () => {
    await assert.rejects(restore("echo 'pg_restore: error: no such role' >&2; exit 1", stalledSource()), {
      kind: 'postgres',
      message: 'pg_restore failed (exit code 1): no such role',
    });
  });

  it('fails when pg_restore fails after everything was written', async () => {
    await assert.rejects(restore(`${notesEnd(tools)}; exit 1`, fakeSource(3).stream), {
      message: 'pg_restore failed (exit code 1)',
    });
  });

  it('fails when pg_restore is content with a part', async () => {
    const { state, stream } = fakeSource(1000);
    await assert.rejects(restore('head -c 100 > /dev/null', stream), {
      kind: 'postgres',
      message: 'pg_restore finished before it had read the whole archive',
    });
    assert.ok(state.given < 1000);
  });

  it('is content with a part when told so', async () => {
    const { state, stream } = fakeSource(1000);
    const report = await restore('head -c 100 > /dev/null', stream, { allowEarlyExit: true });
    assert.deepEqual(report, { warnings: [], endedEarly: true });
    assert.ok(state.given < 1000);
  });

  it('succeeds when pg_restore exits at the last byte, before the end of the source shows', async () => {
    const report = await restore(`head -c ${feedChunk.byteLength} > /dev/null`, endsLate());
    assert.equal(report.endedEarly, false);
  });

  it('throws what the source finds at its end, though pg_restore has finished', async () => {
    await assert.rejects(
      restore(`head -c ${feedChunk.byteLength} > /dev/null`, endsLate(new BackupError('integrity', 'wrong digest'))),
      {
        message: 'wrong digest',
      },
    );
  });
});

describe('listing an archive', () => {
  it('is a success when pg_restore stops reading early', async () => {
    const { state, stream } = fakeSource(1000);
    assert.equal(await list('head -c 100 > /dev/null; echo contents', stream), 'contents\n');
    assert.ok(state.given < 1000);
  });

  it('reads the source to its end when told so, and throws what it finds there', async () => {
    const whole = fakeSource(1000);
    assert.equal(await list('head -c 100 > /dev/null; echo contents', whole.stream, true), 'contents\n');
    assert.ok(whole.state.isAtEnd);
    const broken = fakeSource(1000, new Error('wrong tag'));
    await assert.rejects(list('head -c 100 > /dev/null; echo contents', broken.stream, true), { message: 'wrong tag' });
  });

  it('fails when pg_restore fails, without reading on', async () => {
    const { state, stream } = fakeSource(1000);
    const body = "echo 'pg_restore: error: input file does not appear to be a valid archive' >&2; exit 1";
    await assert.rejects(list(body, stream, true), {
      kind: 'postgres',
      message: /does not appear to be a valid archive/,
    });
    assert.ok(state.given < 1000);
  });

  it('fails when pg_restore says nothing', async () => {
    await assert.rejects(list('cat > /dev/null', fakeSource(1).stream), {
      message: 'pg_restore printed no table of contents',
    });
  });
});
