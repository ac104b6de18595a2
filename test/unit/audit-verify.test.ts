import type { AuditHead } from '../../src/core/audit-head.ts';
import assert from 'node:assert/strict';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import type { AuditEntry } from '../../src/audit/audit-event.ts';
import { parseEntry, sealEntry, toHead } from '../../src/audit/seal-entry.ts';
import { verifyAudit } from '../../src/audit/verify-audit.ts';
import { Secret } from '../../src/core/secret.ts';
import { createAuditLogUnderTest, numberedEvent, type AuditLogUnderTest } from '../support/audit-log-under-test.ts';

const key = new Secret(Buffer.alloc(32, 7));
const otherKey = new Secret(Buffer.alloc(32, 8));

async function write(
  under: AuditLogUnderTest,
  { count = 6, by }: { count?: number; by?: Secret } = {},
): Promise<string[]> {
  const log = under.open(by === undefined ? {} : { key: by });
  for (let number = 1; number <= count; number += 1) await log.append(numberedEvent(number));
  return await under.lines();
}

async function rewrite(under: AuditLogUnderTest, lines: readonly string[]): Promise<void> {
  await writeFile(under.path, lines.map((line) => `${line}\n`).join(''));
}

function headOf(line = ''): AuditHead {
  const sealed = parseEntry(Buffer.from(line));
  assert.ok(sealed !== null);
  return toHead(sealed);
}

/** What somebody who may write the file, but has no key, can make of an entry: valid in itself. */
function forge(line: string | undefined, changes: Partial<AuditEntry>): string {
  const entry = { ...(JSON.parse(line ?? '') as AuditEntry), ...changes };
  return Buffer.from(sealEntry(entry, undefined).line).toString();
}

/** Every entry from `from` on says what it has to say after those before it. */
function rechain(lines: readonly string[], from: number): string[] {
  const chained = [...lines];
  for (let index = from; index < chained.length; index += 1) {
    const before = headOf(chained[index - 1]);
    chained[index] = forge(chained[index], { previous: before.hash, sequence: before.sequence + 1 });
  }
  return chained;
}

describe('verifying an audit log', () => {
  it('finds a log whole that nobody touched', async () => {
    using under = createAuditLogUnderTest();
    const lines = await write(under, { by: key });
    const heads = lines.map(headOf);
    assert.deepEqual(await verifyAudit(under.path, { keys: [key], heads }), {
      entries: 6,
      chain: heads[0]?.chain,
      firstSequence: 1,
      head: heads[5],
      macs: 'checked',
      torn: [],
      headsChecked: 6,
      otherChains: [],
      problem: null,
    });
    assert.equal((await verifyAudit(under.path)).macs, 'unchecked');
  });

  type Change = (lines: string[]) => string[];
  const changes: Record<string, [Change, { kind: string; line: number; sequence: number }]> = {
    'an altered entry': [
      (lines) => lines.with(2, forge(lines[2], { durationMs: 99 })),
      { kind: 'altered', line: 3, sequence: 3 },
    ],
    'an altered first entry': [
      (lines) => lines.with(0, forge(lines[0], { durationMs: 99 })),
      { kind: 'altered', line: 1, sequence: 1 },
    ],
    'an altered hash of the entry before': [
      (lines) => lines.with(2, forge(lines[2], { previous: 'ab'.repeat(32) })),
      { kind: 'altered', line: 3, sequence: 3 },
    ],
    'a first entry that tells of one before': [
      (lines) => lines.with(0, forge(lines[0], { previous: 'ab'.repeat(32) })),
      { kind: 'altered', line: 1, sequence: 1 },
    ],
    'an altered sequence': [
      (lines) => lines.with(2, forge(lines[2], { sequence: 30 })),
      { kind: 'altered', line: 3, sequence: 3 },
    ],
    'a space more': [
      (lines) => lines.with(2, lines[2]?.replace(':', ': ') ?? ''),
      { kind: 'altered', line: 3, sequence: 3 },
    ],
    'an unknown field': [
      (lines) => lines.with(2, lines[2]?.replace('{', '{"a":1,') ?? ''),
      { kind: 'altered', line: 3, sequence: 3 },
    ],
    'a removed entry': [(lines) => lines.toSpliced(2, 1), { kind: 'missing', line: 3, sequence: 3 }],
    'two removed entries': [(lines) => lines.toSpliced(1, 2), { kind: 'missing', line: 2, sequence: 2 }],
    'removed first entries': [(lines) => lines.slice(2), { kind: 'missing', line: 1, sequence: 3 }],
    'an inserted copy': [(lines) => lines.toSpliced(3, 0, lines[1] ?? ''), { kind: 'misplaced', line: 4, sequence: 2 }],
    'an inserted entry': [
      (lines) => lines.toSpliced(3, 0, forge(lines[3], { previous: headOf(lines[2]).hash, durationMs: 99 })),
      { kind: 'misplaced', line: 4, sequence: 4 },
    ],
    'an inserted empty line': [(lines) => lines.toSpliced(3, 0, ''), { kind: 'altered', line: 4, sequence: 4 }],
    'two entries that changed places': [
      (lines) => lines.with(2, lines[3] ?? '').with(3, lines[2] ?? ''),
      { kind: 'misplaced', line: 3, sequence: 4 },
    ],
    'an entry that was moved to the end': [
      (lines) => [...lines.toSpliced(2, 1), lines[2] ?? ''],
      { kind: 'missing', line: 3, sequence: 3 },
    ],
    'an entry of another chain': [
      (lines) => lines.with(2, forge(lines[2], { chain: 'ab'.repeat(16) })),
      { kind: 'misplaced', line: 3, sequence: 3 },
    ],
    'an entry that tells of torn bytes that are not there': [
      (lines) => lines.with(5, forge(lines[5], { torn: { bytes: 3, sha256: 'ab'.repeat(32) } })),
      { kind: 'missing', line: 6, sequence: 6 },
    ],
  };
  for (const [what, [change, problem]] of Object.entries(changes)) {
    it(`names ${what}, without any key or head`, async () => {
      using under = createAuditLogUnderTest();
      await rewrite(under, change(await write(under)));
      assert.partialDeepStrictEqual((await verifyAudit(under.path)).problem, { file: under.path, ...problem });
    });
  }

  it('finds entries missing at the end by a head that was recorded elsewhere, and only so', async () => {
    using under = createAuditLogUnderTest();
    const lines = await write(under);
    const foreign = { chain: 'ab'.repeat(16), sequence: 99, hash: 'ab'.repeat(32) };
    const heads = [headOf(lines[1]), headOf(lines[4]), foreign];
    await rewrite(under, lines.slice(0, 4));
    assert.equal((await verifyAudit(under.path)).problem, null);
    assert.partialDeepStrictEqual(await verifyAudit(under.path, { heads }), {
      problem: {
        kind: 'truncated',
        file: under.path,
        line: 4,
        sequence: 5,
        reason: 'a head recorded elsewhere proves that the log went on to entry 5',
      },
      headsChecked: 2,
      otherChains: [foreign.chain],
    });
    await rewrite(under, lines.slice(0, 5));
    assert.equal((await verifyAudit(under.path, { heads })).problem, null);
  });

  it('finds a log that was written anew by a head or a mac', async () => {
    using under = createAuditLogUnderTest();
    const lines = await write(under);
    await rewrite(under, rechain(lines.with(2, forge(lines[2], { durationMs: 99 })), 3));
    assert.equal((await verifyAudit(under.path)).problem, null);
    for (const [head, sequence] of [
      [2, 3],
      [5, 6],
    ] as const) {
      const report = await verifyAudit(under.path, { heads: [headOf(lines[head])] });
      assert.partialDeepStrictEqual(report.problem, { kind: 'altered', line: sequence, sequence });
    }
    const unauthenticated = await verifyAudit(under.path, { keys: [key] });
    assert.partialDeepStrictEqual(unauthenticated.problem, { kind: 'unauthenticated', line: 6, sequence: 6 });
  });

  it('names the entry whose mac is wrong or missing', async () => {
    using under = createAuditLogUnderTest();
    const lines = await write(under, { by: key });
    const check = async (changed: string[], keys: Secret[]) => {
      await rewrite(under, changed);
      return (await verifyAudit(under.path, { keys })).problem;
    };
    const forged = sealEntry({ ...JSON.parse(lines[5] ?? ''), durationMs: 99, mac: undefined } as AuditEntry, otherKey);
    const { mac: _mac, ...bare } = JSON.parse(lines[5] ?? '') as AuditEntry;
    const stripped = lines.with(5, Buffer.from(sealEntry(bare, undefined).line).toString());
    const last = { kind: 'unauthenticated', line: 6, sequence: 6 };
    assert.partialDeepStrictEqual(await check(lines.with(5, Buffer.from(forged.line).toString()), [key]), last);
    assert.partialDeepStrictEqual(await check(lines.with(5, forge(lines[5], { durationMs: 99 })), [key]), last);
    assert.partialDeepStrictEqual(await check(stripped, [key]), last);
    assert.partialDeepStrictEqual(await check(stripped, []), last);
    assert.partialDeepStrictEqual(await check(lines, [otherKey]), { kind: 'unauthenticated', line: 1, sequence: 1 });
    assert.equal(await check(lines, [otherKey, key]), null);
  });

  it('finds a last entry that means the same and is spelled otherwise', async () => {
    using under = createAuditLogUnderTest();
    const lines = await write(under, { by: key });
    for (const spelled of [lines[5]?.replace(':', ': '), `${lines[5]} `, lines[5]?.replace('access', '\\u0061ccess')]) {
      await rewrite(under, lines.with(5, spelled ?? ''));
      const { problem } = await verifyAudit(under.path, { keys: [key] });
      assert.partialDeepStrictEqual(problem, { kind: 'altered', line: 6, sequence: 6 }, spelled);
    }
  });

  it('takes entries from before the key for proven by those after it', async () => {
    using under = createAuditLogUnderTest();
    await write(under, { count: 3 });
    const lines = await write(under, { count: 3, by: key });
    assert.partialDeepStrictEqual(await verifyAudit(under.path, { keys: [key] }), {
      entries: 6,
      macs: 'checked',
      problem: null,
    });
    await rewrite(under, [forge(lines[0], { durationMs: 99 }), ...lines.slice(1)]);
    assert.partialDeepStrictEqual((await verifyAudit(under.path, { keys: [key] })).problem, {
      kind: 'altered',
      line: 1,
    });
    await rewrite(under, lines.slice(0, 3));
    const cut = await verifyAudit(under.path, { keys: [key] });
    assert.partialDeepStrictEqual(cut.problem, { kind: 'unauthenticated', line: 3, sequence: 3 });
  });

  it('names the file, and finds one that is missing', async () => {
    using under = createAuditLogUnderTest();
    const file = (sequence: number) => under.path.replace('.jsonl', `.${String(sequence).padStart(12, '0')}.jsonl`);
    for (let number = 1; number <= 9; number += 1) {
      // Three entries to a file.
      await under.open({ maxFileBytes: number % 3 === 1 ? 1 : 2 ** 20 }).append(numberedEvent(number));
    }
    const text = await readFile(file(6), 'utf8');
    await writeFile(file(6), text.replace('"durationMs":5', '"durationMs":6'));
    assert.partialDeepStrictEqual((await verifyAudit(under.path)).problem, { file: file(6), line: 2, sequence: 5 });
    await rm(file(6));
    assert.partialDeepStrictEqual((await verifyAudit(under.path)).problem, { kind: 'missing', line: 1, sequence: 4 });
    await writeFile(file(6), text);
    const head = headOf((await readFile(file(3), 'utf8')).trimEnd().split('\n').at(-1));
    await rename(file(3), `${file(3)}.archived`);
    assert.partialDeepStrictEqual((await verifyAudit(under.path)).problem, { kind: 'missing', file: file(6), line: 1 });
    assert.partialDeepStrictEqual(await verifyAudit(under.path, { heads: [head] }), {
      problem: null,
      firstSequence: 4,
    });
  });
});
