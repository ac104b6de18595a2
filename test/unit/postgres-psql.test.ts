import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BackupError } from '../../src/core/backup-error.ts';
import { streamOf, type ByteStream } from '../../src/core/byte-stream.ts';
import { resolveConnection } from '../../src/postgres/connection.ts';
import { restoreScript } from '../../src/postgres/psql.ts';
import { answersLikePsql, receivedInput, sawEnd } from '../support/fake-tools/fake-feed.ts';
import { makeFakeTools, type FakeTools } from '../support/fake-tools/fake-tool.ts';

const connection = resolveConnection('postgresql://ann:hunter2@h/shop', { HOME: '/nonexistent' });

let tools: FakeTools;
beforeEach(() => (tools = makeFakeTools()));
afterEach(() => tools[Symbol.dispose]());

const script = 'SELECT 1;\n--\n-- PostgreSQL database dump complete\n--\n\n';

interface RestoreOptions {
  readonly serverMajor?: number;
  readonly allowForeignScript?: boolean;
}

async function restore(body: string, from: ByteStream, options: RestoreOptions = {}) {
  return await restoreScript({ tool: tools.add('psql', body), connection, serverMajor: 17, ...options }, from);
}

async function* failsLate(): ByteStream {
  yield Buffer.from(script);
  await sleep(200);
  throw new BackupError('integrity', 'wrong digest');
}

describe('psql as a sink', () => {
  it('gets what ends the limits of time and BEGIN before the script, and COMMIT after it', async () => {
    assert.deepEqual(await restore(answersLikePsql(tools), streamOf(script)), { warnings: [], committedEarly: false });
    assert.match(
      receivedInput(tools),
      /^SELECT pg_catalog\.set_config[^;]*'idle_session_timeout', '0'[^;]*;\nBEGIN;\nSELECT '\w{32} start '.*\nSELECT 1;\n[^]*complete[^]*\nCOMMIT;\n\nSELECT '\w{32} done';\n$/,
    );
  });

  it('gets no COMMIT, and no end of its input, when the source fails', async () => {
    const body = `${answersLikePsql(tools)} > /dev/null; touch ${tools.folder}/eof`;
    await assert.rejects(restore(body, failsLate()), { message: 'wrong digest' });
    assert.equal(sawEnd(tools), false);
    assert.doesNotMatch(receivedInput(tools), /COMMIT/);
  });

  it('gets no COMMIT after a script without its last line', async () => {
    await assert.rejects(restore(answersLikePsql(tools), streamOf('SELECT 1;\n')), {
      kind: 'integrity',
      message: /is cut off/,
    });
    assert.doesNotMatch(receivedInput(tools), /COMMIT/);
  });

  it('takes a script that others made when told so', async () => {
    const report = await restore(answersLikePsql(tools), streamOf('SELECT 1;\n'), { allowForeignScript: true });
    assert.equal(report.committedEarly, false);
  });

  it('fails when psql ends without a word about our last statement', async () => {
    await assert.rejects(restore('cat > /dev/null', streamOf(script)), {
      kind: 'integrity',
      message: /did not get to the end of the script/,
    });
    await assert.rejects(restore('exit 0', streamOf(script)), { kind: 'integrity' });
  });

  it('tells when the transaction at the end is another than at the start', async () => {
    const report = await restore(
      `n=0; ${answersLikePsql(tools, '')} | while read -r a b; do n=$((n+1)); echo "$a $b $n"; done`,
      streamOf(script),
    );
    assert.equal(report.committedEarly, true);
  });

  it('says when a part may have been committed before the failure', async () => {
    const withCommit = `BEGIN;\nSELECT 1;\nCOMMIT;\n${script}`;
    await assert.rejects(restore("cat > /dev/null; echo 'ERROR:  no' >&2; exit 3", streamOf(withCommit)), {
      kind: 'postgres',
      message:
        'psql failed (exit code 3): ERROR:  no (the script contains COMMIT: a part of it may be in the database)',
    });
  });

  const preamble = '--\n-- PostgreSQL database dump\n--\n\n\\restrict x\n\nSET lock_timeout = 0;\n';
  const setting = 'SET transaction_timeout = 0;\n';
  for (const [what, serverMajor, before] of [
    ['an older server', 16, preamble],
    ['an older server, right at the start', 13, ''],
  ] as const) {
    it(`takes transaction_timeout out for ${what}, in whatever chunks it comes`, async () => {
      const text = `${before}${setting}SELECT 2;\n${script}`;
      for (const size of [1, 7, text.length]) {
        await restore(answersLikePsql(tools), inChunks(text, size), { serverMajor });
        assert.ok(receivedInput(tools).includes(`${before}SELECT 2;\n${script}`));
      }
    });
  }

  it('leaves the same words alone everywhere else', async () => {
    const inData = `${preamble}COPY t FROM stdin;\n${setting}\\.\n${script}`;
    await restore(answersLikePsql(tools), streamOf(inData), { serverMajor: 16 });
    assert.ok(receivedInput(tools).includes(inData));
    await restore(answersLikePsql(tools), streamOf(`${preamble}${setting}${script}`), { serverMajor: 17 });
    assert.ok(receivedInput(tools).includes(setting));
  });
});

async function* inChunks(text: string, size: number): ByteStream {
  for (let start = 0; start < text.length; start += size) yield Buffer.from(text.slice(start, start + size));
}
