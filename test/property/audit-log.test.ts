import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { assert as assertProperty, asyncProperty, constantFrom, nat, oneof, record, type Arbitrary } from 'fast-check';
import type { AuditEntry, AuditHead } from '../../src/audit/audit-event.ts';
import { sealEntry } from '../../src/audit/seal-entry.ts';
import { verifyAudit, type AuditReport } from '../../src/audit/verify-audit.ts';
import { Secret } from '../../src/core/secret.ts';
import { createAuditLogUnderTest, numberedEvent } from '../support/audit-log-under-test.ts';

const entryCount = 12;
const key = new Secret(Buffer.alloc(32, 7));
const folder = mkdtempSync(join(tmpdir(), 'librelog-audit-property-'));
const path = join(folder, 'audit.jsonl');
after(() => rmSync(folder, { recursive: true }));

/** File name to content, oldest first. */
type Files = ReadonlyMap<string, Buffer>;

let original: Files;
let head: AuditHead | null;

before(async () => {
  using under = createAuditLogUnderTest();
  const log = under.open({ key, maxFileBytes: 1500 });
  for (let number = 1; number <= entryCount; number += 1) await log.append(numberedEvent(number));
  head = await log.describeHead();
  const logFolder = dirname(under.path);
  const names = readdirSync(logFolder).filter((name) => name.endsWith('.jsonl'));
  original = new Map(names.toSorted().map((name) => [name, readFileSync(join(logFolder, name))]));
  assert.ok(original.size >= 3, 'several files');
});

async function verify(files: Files, evidence: Parameters<typeof verifyAudit>[1]): Promise<AuditReport> {
  rmSync(folder, { recursive: true });
  mkdirSync(folder);
  for (const [name, content] of files) writeFileSync(join(folder, name), content);
  return await verifyAudit(path, evidence);
}

interface Change {
  readonly how:
    | 'flip'
    | 'delete byte'
    | 'insert byte'
    | 'delete line'
    | 'copy line'
    | 'swap lines'
    | 'forge line'
    | 'cut'
    | 'delete file';
  readonly file: number;
  readonly at: number;
  readonly to: number;
}

const change: Arbitrary<Change> = record({
  how: oneof(
    { weight: 3, arbitrary: constantFrom<Change['how']>('flip', 'delete byte', 'insert byte') },
    {
      weight: 6,
      arbitrary: constantFrom<Change['how']>(
        'delete line',
        'copy line',
        'swap lines',
        'forge line',
        'cut',
        'delete file',
      ),
    },
  ),
  file: nat(),
  at: nat(),
  to: nat(),
});

function apply({ how, file, at, to }: Change): Files {
  const names = [...original.keys()];
  const name = names[file % names.length] ?? '';
  const content = original.get(name) ?? Buffer.alloc(0);
  const changed = new Map(original);
  if (how === 'delete file') changed.delete(name);
  else changed.set(name, changeContent(content, { how, at, to }));
  return changed;
}

function changeContent(content: Buffer, { how, at, to }: Omit<Change, 'file'>): Buffer {
  const place = at % content.length;
  const lines = content.toString().trimEnd().split('\n');
  const line = at % lines.length;
  const other = to % lines.length;
  const join = (lines: readonly string[]) => Buffer.from(lines.map((line) => `${line}\n`).join(''));
  switch (how) {
    case 'flip':
      return Buffer.from(content.with(place, (content[place] ?? 0) ^ (1 << (to % 8))));
    case 'delete byte':
      return Buffer.concat([content.subarray(0, place), content.subarray(place + 1)]);
    case 'insert byte':
      return Buffer.concat([content.subarray(0, place), Buffer.from([to % 256]), content.subarray(place)]);
    case 'delete line':
      return join(lines.toSpliced(line, 1));
    case 'copy line':
      return join(lines.toSpliced(other, 0, lines[line] ?? ''));
    case 'swap lines':
      return join(lines.with(line, lines[other] ?? '').with(other, lines[line] ?? ''));
    case 'forge line': {
      const { mac: _mac, ...entry } = JSON.parse(lines[line] ?? '') as AuditEntry;
      const forged = sealEntry({ ...entry, durationMs: 99 + (to % 9) }, undefined);
      return join(lines.with(line, Buffer.from(forged.line).toString()));
    }
    case 'cut':
      return content.subarray(0, place);
    case 'delete file':
      throw new Error('a file is not its content');
  }
}

/** The newline behind the last entry of a file is what a crash may leave out: nothing recorded depends on it. */
function meansTheSame(files: Files): boolean {
  return [...original].every(([name, content]) => {
    const changed = files.get(name);
    return changed !== undefined && (changed.equals(content) || changed.equals(content.subarray(0, -1)));
  });
}

function isWhole({ problem, torn }: AuditReport): boolean {
  return problem === null && torn.length === 0;
}

describe('a single change of an audit log', () => {
  it('is none when nothing was changed', async () => {
    const report = await verify(original, { keys: [key], heads: head === null ? [] : [head] });
    assert.partialDeepStrictEqual(report, {
      entries: entryCount,
      problem: null,
      torn: [],
      headsChecked: 1,
      macs: 'checked',
    });
  });

  it('is found with a head that was recorded elsewhere, without any key', async () => {
    await assertProperty(
      asyncProperty(change, async (change) => {
        const files = apply(change);
        const report = await verify(files, { heads: head === null ? [] : [head] });
        assert.equal(isWhole(report), meansTheSame(files), JSON.stringify(report));
      }),
      { numRuns: 1000 },
    );
  });

  it('is found with the key alone, unless it takes entries off the end', async () => {
    await assertProperty(
      asyncProperty(change, async (change) => {
        const files = apply(change);
        const report = await verify(files, { keys: [key] });
        const isCutShort = report.entries < entryCount && isPrefix(files);
        assert.equal(isWhole(report), meansTheSame(files) || isCutShort, JSON.stringify(report));
      }),
      { numRuns: 1000 },
    );
  });

  it('is named by file and line when it is one of a line', async () => {
    await assertProperty(
      asyncProperty(nat(), nat(), async (file, at) => {
        const names = [...original.keys()];
        const name = names[file % names.length] ?? '';
        const content = original.get(name) ?? Buffer.alloc(0);
        const line = at % content.toString().trimEnd().split('\n').length;
        const report = await verify(apply({ how: 'forge line', file, at, to: 0 }), { keys: [key] });
        assert.equal(basename(report.problem?.file ?? ''), name);
        assert.equal(report.problem?.line, line + 1);
      }),
      { numRuns: 100 },
    );
  });
});

/** Whether the log is its original up to the end of one of its lines. */
function isPrefix(files: Files): boolean {
  const whole = Buffer.concat([...original.values()]);
  const rest = Buffer.concat([...files.values()]);
  const isLine = rest.at(-1) === 0x0a || whole[rest.length] === 0x0a;
  return isLine && whole.subarray(0, rest.length).equals(rest);
}
