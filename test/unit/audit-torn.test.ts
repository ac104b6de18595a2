import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { appendFile, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { readAudit } from '../../src/audit/read-audit.ts';
import { verifyAudit } from '../../src/audit/verify-audit.ts';
import { createAuditLogUnderTest, numberedEvent } from '../support/audit-log-under-test.ts';

describe('a line that a dead writer left unfinished', () => {
  const debris: readonly string[] = ['{"action":"encr', '\0\0\0\0', 'x', '{"action":"e\n{"act'];
  for (const torn of debris) {
    it(`stays, is told of, and the chain goes on: ${JSON.stringify(torn)}`, async () => {
      using under = createAuditLogUnderTest();
      await under.open().append(numberedEvent(1));
      await appendFile(under.path, torn);
      assert.partialDeepStrictEqual(await verifyAudit(under.path), {
        entries: 1,
        problem: null,
        torn: [{ file: under.path, line: 2, bytes: torn.length }],
      });
      await under.open().append(numberedEvent(2));
      await under.open().append(numberedEvent(3));
      assert.ok((await readFile(under.path, 'utf8')).includes(`\n${torn}\n{`));
      assert.partialDeepStrictEqual(await verifyAudit(under.path), {
        entries: 3,
        problem: null,
        torn: [{ line: 2, bytes: torn.length }],
      });
      const entries = await Array.fromAsync(readAudit(under.path));
      assert.deepEqual(entries[1]?.torn, {
        bytes: torn.length,
        sha256: createHash('sha256').update(torn).digest('hex'),
      });
      assert.equal(entries[2]?.torn, undefined);
    });
  }

  it('may be the first of the file', async () => {
    using under = createAuditLogUnderTest();
    await under.open().append(numberedEvent(1));
    await truncate(under.path, 100);
    await under.open().append(numberedEvent(2));
    assert.partialDeepStrictEqual(await verifyAudit(under.path), { entries: 1, problem: null, torn: [{ bytes: 100 }] });
  });

  it('is an entry when only its newline is missing', async () => {
    using under = createAuditLogUnderTest();
    await under.open().append(numberedEvent(1));
    await truncate(under.path, (await stat(under.path)).size - 1);
    await under.open().append(numberedEvent(2));
    const report = await verifyAudit(under.path);
    assert.deepEqual([report.entries, report.problem, report.torn], [2, null, []]);
  });

  it('is tampering when it has an end or was changed later', async () => {
    using under = createAuditLogUnderTest();
    await under.open().append(numberedEvent(1));
    await appendFile(under.path, 'not an entry\n');
    const report = { problem: { kind: 'altered', file: under.path, line: 2, sequence: 2 } };
    assert.partialDeepStrictEqual(await verifyAudit(under.path), report);
    await under.open().append(numberedEvent(2));
    assert.partialDeepStrictEqual(await verifyAudit(under.path), report);
    const text = await readFile(under.path, 'utf8');
    for (const changed of ['not an entr!\n', '']) {
      await writeFile(under.path, text.replace('not an entry\n', changed));
      assert.partialDeepStrictEqual((await verifyAudit(under.path)).problem, { line: 2, sequence: 2 });
    }
  });

  it('is found however long it is', async () => {
    using under = createAuditLogUnderTest();
    await under.open().append(numberedEvent(1));
    await appendFile(under.path, 'z'.repeat(1_000_000));
    await under.open().append(numberedEvent(2));
    assert.partialDeepStrictEqual(await verifyAudit(under.path), { entries: 2, torn: [{ bytes: 1_000_000 }] });
  });
});
