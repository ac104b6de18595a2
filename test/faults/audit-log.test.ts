import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it } from 'node:test';
import type { AuditEntry } from '../../src/audit/audit-event.ts';
import { readAudit } from '../../src/audit/read-audit.ts';
import { verifyAudit, type AuditReport } from '../../src/audit/verify-audit.ts';
import { createAuditLogUnderTest, numberedEvent } from '../support/audit-log-under-test.ts';
import { createRandom } from '../support/seeded-random.ts';
import { isRoot, mountSmallDisk, withFileSizeLimit, withoutRootRights } from '../support/small-disk.ts';

const writer = join(import.meta.dirname, '..', 'support', 'audit-writer.ts');

interface Writer {
  readonly child: ChildProcess;
  /** Numbers of the events that were reported as recorded. */
  readonly recorded: number[];
  readonly ended: Promise<{ readonly code: number | null; readonly stderr: string }>;
}

interface Job {
  readonly path: string;
  readonly first: number;
  readonly count: number;
  readonly maxFileBytes?: number;
}

function startWriter({ path, first, count, maxFileBytes = 2 ** 24 }: Job, wrapper: readonly string[] = []): Writer {
  const args = [...wrapper, process.execPath, writer, path, String(first), String(count), String(maxFileBytes)];
  const child = spawn(args[0] ?? '', args.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] });
  const recorded: number[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => recorded.push(Number(line)));
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, stderr }));
  return { child, recorded, ended };
}

async function numbersIn(path: string): Promise<number[]> {
  const entries: AuditEntry[] = await Array.fromAsync(readAudit(path));
  return entries.map(({ durationMs }) => durationMs ?? -1);
}

function assertWhole({ entries, problem, torn }: AuditReport, expected: number): void {
  assert.deepEqual({ entries, problem, torn }, { entries: expected, problem: null, torn: [] });
}

describe('an audit log with several writers', () => {
  for (const [how, maxFileBytes] of [
    ['in one file', 2 ** 24],
    ['that is rotated meanwhile', 8192],
  ] as const) {
    it(`keeps every event of 8 processes in one chain, ${how}`, async () => {
      using under = createAuditLogUnderTest();
      const writers = Array.from({ length: 8 }, (_, index) =>
        startWriter({ path: under.path, first: index * 1000, count: 50, maxFileBytes }),
      );
      for (const { ended } of writers) assert.deepEqual(await ended, { code: 0, stderr: '' });
      const report = await verifyAudit(under.path);
      assert.partialDeepStrictEqual(report, { firstSequence: 1 });
      assertWhole(report, 400);
      const found = await numbersIn(under.path);
      for (const [index] of writers.entries()) {
        const own = found.filter((number) => Math.floor(number / 1000) === index);
        assert.deepEqual(
          own,
          Array.from({ length: 50 }, (_, number) => index * 1000 + number),
        );
      }
    });
  }

  it('is never left locked or broken by one that is killed', async () => {
    using under = createAuditLogUnderTest();
    const random = createRandom(4711);
    const recorded: number[] = [];
    let killed = 0;
    for (let round = 0; round < 8; round += 1) {
      const writers = [0, 1, 2].map((index) =>
        startWriter({ path: under.path, first: (round * 3 + index) * 100_000, count: 100_000, maxFileBytes: 20_000 }),
      );
      await Promise.all(writers.map(async ({ child }) => await once(child.stdout as NodeJS.ReadableStream, 'data')));
      for (const { child, ended } of writers) {
        await sleep(random() * 60);
        child.kill('SIGKILL');
        const { stderr } = await ended;
        assert.equal(stderr, '');
        killed += 1;
      }
      recorded.push(...writers.flatMap((each) => each.recorded));
    }
    const head = await under.open().describeHead();
    await under.open().append(numberedEvent(-0));
    const report = await verifyAudit(under.path, { heads: head === null ? [] : [head] });
    assert.equal(report.problem, null);
    const found = new Set(await numbersIn(under.path));
    assert.equal(killed, 24);
    assert.ok(recorded.length > 24, `${recorded.length} events were recorded`);
    assert.deepEqual(
      recorded.filter((number) => !found.has(number)),
      [],
    );
    // Of each writer at most the event that it was about to report is there without having been reported.
    assert.ok(found.size <= recorded.length + killed + 1, `${found.size} in the log, ${recorded.length} reported`);
  });
});

describe('an audit log that cannot be written', () => {
  const needsRoot = !isRoot && 'mounting a small disk needs root';

  it('because the disk is full fails the event, and stays whole', { skip: needsRoot }, async () => {
    using under = createAuditLogUnderTest();
    using _disk = mountSmallDisk(dirname(under.path), 64 * 1024);
    const log = under.open();
    let written = 0;
    await assert.rejects(
      async () => {
        for (; written < 1000; written += 1) await log.append(numberedEvent(written));
      },
      { kind: 'storage', message: /^cannot write audit log ".*": the disk is full$/, hint: /Free space/ },
    );
    assert.ok(written > 50 && written < 1000, `${written} events`);
    assertWhole(await verifyAudit(under.path), written);
    await under.open({ onFailure: 'warn' }).append(numberedEvent(0));
    assert.match(under.warnings[0] ?? '', /^not audited: cannot write audit log .*: the disk is full$/);
  });

  it('by a limit of the process fails the event, and stays whole', async () => {
    using under = createAuditLogUnderTest();
    const { recorded, ended } = startWriter({ path: under.path, first: 0, count: 1000 }, withFileSizeLimit(16));
    const { code, stderr } = await ended;
    assert.notEqual(code, 0);
    assert.match(stderr, /cannot write audit log .*: the file is larger than/);
    assertWhole(await verifyAudit(under.path), recorded.length);
  });

  it('because it is mounted read-only fails the event', { skip: needsRoot }, async () => {
    using under = createAuditLogUnderTest();
    using disk = mountSmallDisk(dirname(under.path), 64 * 1024);
    await under.open().append(numberedEvent(1));
    disk.makeReadOnly();
    const expected = { kind: 'access', message: /: the file system is read-only$/, hint: /--audit-file/ };
    await assert.rejects(under.open().append(numberedEvent(2)), expected);
    assert.partialDeepStrictEqual(await verifyAudit(under.path), { entries: 1, problem: null });
  });

  it('because of the permissions of its folder fails the event', async () => {
    using under = createAuditLogUnderTest();
    mkdirSync(dirname(under.path));
    chmodSync(dirname(under.path), 0o500);
    const { recorded, ended } = startWriter({ path: under.path, first: 0, count: 1 }, withoutRootRights);
    const { code, stderr } = await ended;
    assert.deepEqual([recorded, code === 0], [[], false]);
    assert.match(stderr, /: permission denied/);
    assert.match(stderr, /kind: 'access'/);
  });

  it('because of its own permissions fails the event', async () => {
    using under = createAuditLogUnderTest();
    await under.open().append(numberedEvent(1));
    chmodSync(under.path, 0o400);
    const { ended } = startWriter({ path: under.path, first: 2, count: 1 }, withoutRootRights);
    assert.match((await ended).stderr, /cannot write audit log ".*": permission denied/);
    assert.equal((await under.lines()).length, 1);
  });

  it('because its lock is something else says so', async () => {
    using under = createAuditLogUnderTest();
    mkdirSync(dirname(under.path));
    writeFileSync(`${under.path}.lock`, 'not a lock'.repeat(1000));
    await assert.rejects(under.open().append(numberedEvent(1)), { message: /: cannot lock with ".*\.lock": / });
    assert.equal(readFileSync(`${under.path}.lock`).length, 10_000);
  });

  it('leaves nothing in its lock file', async () => {
    using under = createAuditLogUnderTest();
    await under.open().append(numberedEvent(1));
    assert.equal(statSync(`${under.path}.lock`).size, 0);
  });
});
