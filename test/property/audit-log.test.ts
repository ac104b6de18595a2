import type { AuditHead } from '../../src/core/audit-head.ts';
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { assert as assertProperty, asyncProperty, constantFrom, nat, oneof, record, type Arbitrary } from 'fast-check';
import type { AuditEntry } from '../../src/audit/audit-event.ts';
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
  else changed.set(name, changes[how](content, { at, to }));
  return changed;
}

type Edit = Omit<Change, 'file' | 'how'>;

const changes: Readonly<Record<Exclude<Change['how'], 'delete file'>, (content: Buffer, edit: Edit) => Buffer>> = {
  flip: (content, { at, to }) => {
    const place = at % content.length;
    return Buffer.from(content.with(place, (content[place] ?? 0) ^ (1 << (to % 8))));
  },
  'delete byte': (content, { at }) => splice(content, at % content.length, { without: 1 }),
  'insert byte': (content, { at, to }) => splice(content, at % content.length, { bytes: [to % 256] }),
  cut: (content, { at }) => content.subarray(0, at % content.length),
  'delete line': editLines((lines, { at }) => lines.toSpliced(at, 1)),
  'copy line': editLines((lines, { at, to }) => lines.toSpliced(to, 0, lines[at] ?? '')),
  'swap lines': editLines((lines, { at, to }) => lines.with(at, lines[to] ?? '').with(to, lines[at] ?? '')),
  'forge line': editLines((lines, { at, to }) => {
    const { mac: _mac, ...entry } = JSON.parse(lines[at] ?? '') as AuditEntry;
    return lines.with(at, Buffer.from(sealEntry({ ...entry, durationMs: 99 + to }, undefined).line).toString());
  }),
};

interface Splice {
  readonly without?: number;
  readonly bytes?: readonly number[];
}

function splice(content: Buffer, at: number, { without = 0, bytes = [] }: Splice): Buffer {
  return Buffer.concat([content.subarray(0, at), Buffer.from(bytes), content.subarray(at + without)]);
}

function editLines(
  edit: (lines: readonly string[], places: Edit) => string[],
): (content: Buffer, edit: Edit) => Buffer {
  return (content, { at, to }) => {
    const lines = content.toString().trimEnd().split('\n');
    const edited = edit(lines, { at: at % lines.length, to: to % lines.length });
    return Buffer.from(edited.map((line) => `${line}\n`).join(''));
  };
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
