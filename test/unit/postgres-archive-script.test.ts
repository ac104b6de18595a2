import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ByteStream } from '../../src/core/byte-stream.ts';
import { needsScript, restoreArchiveAsScript } from '../../src/postgres/archive-script.ts';
import type { ClientTool } from '../../src/postgres/client-tools.ts';
import { resolveConnection } from '../../src/postgres/connection.ts';
import { answersLikePsql, fakeSource, feedChunk, receivedInput } from '../support/fake-tools/fake-feed.ts';
import { makeFakeTools, type FakeTools } from '../support/fake-tools/fake-tool.ts';

const connection = resolveConnection('postgresql://ann:hunter2@h/shop', { HOME: '/nonexistent' });

let tools: FakeTools;
beforeEach(() => (tools = makeFakeTools()));
afterEach(() => tools[Symbol.dispose]());

const text = `BEGIN;\n\nSET transaction_timeout = 0;\nSELECT 1;\n${'SELECT 2;\n'.repeat(2000)}COMMIT;\n\n--\n-- PostgreSQL database dump complete\n--\n\n`;

/** Body of a pg_restore that writes the script before it reads its input with `after`. */
function convert(after = 'cat > /dev/null'): string {
  return `cat <<'END'\n${text}END\n${after}`;
}

function pgRestore(major: number): ClientTool {
  return { name: 'pg_restore', path: '', version: String(major), major };
}

async function restore(body: string, from: ByteStream, psqlBody = answersLikePsql(tools)): Promise<void> {
  const tool = tools.add('pg_restore', body, '17.2');
  const psql = tools.add('psql', psqlBody);
  await restoreArchiveAsScript({ tool, psql, args: ['--table=t'], connection, serverMajor: 15 }, from);
}

describe('an archive restored as a script', () => {
  it('is needed from pg_restore 17 on, for servers before 17', () => {
    assert.deepEqual(
      [needsScript(pgRestore(17), 16), needsScript(pgRestore(17), 17), needsScript(pgRestore(16), 15)],
      [true, false, false],
    );
  });

  it('reaches psql without transaction_timeout', async () => {
    await restore(convert(), fakeSource(10).stream);
    assert.ok(receivedInput(tools).includes(`;\n${text.replace('SET transaction_timeout = 0;\n', '')}`));
  });

  it('sends COMMIT only after the source has been read to its end, though pg_restore needs only a part', async () => {
    let committedBefore = true;
    async function* watched(): ByteStream {
      for (let index = 0; index < 100; index += 1) yield feedChunk;
      await sleep(300);
      committedBefore = receivedInput(tools).includes('COMMIT');
    }
    await restore(convert('head -c 100 > /dev/null'), watched());
    assert.equal(committedBefore, false);
    assert.match(receivedInput(tools), /\nCOMMIT;\n/);
  });

  for (const after of ['cat > /dev/null', 'head -c 100 > /dev/null']) {
    it(`sends no COMMIT when the source fails at its end (pg_restore: ${after})`, async () => {
      await assert.rejects(restore(convert(after), fakeSource(100, new Error('wrong digest')).stream), {
        message: 'wrong digest',
      });
      assert.doesNotMatch(receivedInput(tools), /COMMIT/);
    });
  }

  it('sends no COMMIT when pg_restore fails at its end', async () => {
    const body = convert("cat > /dev/null; echo 'pg_restore: error: broken' >&2; exit 1");
    await assert.rejects(restore(body, fakeSource(100).stream), { kind: 'postgres', message: /broken/ });
    assert.doesNotMatch(receivedInput(tools), /COMMIT/);
  });

  it('fails with what psql said', async () => {
    await assert.rejects(restore(convert(), fakeSource(1000).stream, "echo 'psql:<stdin>:1: ERROR:  no' >&2; exit 3"), {
      kind: 'postgres',
      message: 'psql failed (exit code 3): psql:<stdin>:1: ERROR:  no',
    });
  });
});
