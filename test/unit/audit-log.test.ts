import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { link, readdir, readFile, rename, stat, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import canonicalize from 'canonicalize';
import { array, assert as assertProperty, asyncProperty, constantFrom, string } from 'fast-check';
import type { AuditEntry, AuditEvent } from '../../src/audit/audit-event.ts';
import { describeActor } from '../../src/audit/describe-actor.ts';
import { readAudit, type AuditFilter } from '../../src/audit/read-audit.ts';
import { verifyAudit } from '../../src/audit/verify-audit.ts';
import { defaultAuditFile } from '../../src/audit/audit-settings.ts';
import { Secret } from '../../src/core/secret.ts';
import { createAuditLogUnderTest, encryptEvent, numberedEvent } from '../support/audit-log-under-test.ts';

const key = () => new Secret(Buffer.alloc(32, 7));

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

async function collect(entries: AsyncIterable<AuditEntry>): Promise<AuditEntry[]> {
  return await Array.fromAsync(entries);
}

describe('an audit log', () => {
  it('has one canonical JSON line per event, each with the hash of the line before', async () => {
    using under = createAuditLogUnderTest();
    const log = under.open({}, { env: { GITHUB_RUN_ID: '42' } });
    await log.append(encryptEvent);
    await log.append({
      action: 'restore',
      outcome: 'failure',
      error: { kind: 'key', message: 'secret env:KEY is empty' },
    });
    const [first = '', second = '', ...more] = await under.lines();
    assert.deepEqual(more, []);
    const entries = [first, second].map((line) => JSON.parse(line) as AuditEntry);
    for (const [index, line] of [first, second].entries()) assert.equal(canonicalize(entries[index]), line);
    assert.partialDeepStrictEqual(entries, [
      { ...encryptEvent, version: 1, sequence: 1, previous: '0'.repeat(64), time: '2026-11-24T01:02:03.004Z' },
      { sequence: 2, previous: sha256(first), outcome: 'failure', error: { kind: 'key' }, chain: entries[0]?.chain },
    ]);
    assert.deepEqual(entries[0]?.actor.job, { GITHUB_RUN_ID: '42' });
    assert.deepEqual(await log.describeHead(), { chain: entries[0]?.chain, sequence: 2, hash: sha256(second) });
  });

  it('is for its owner only', async () => {
    using under = createAuditLogUnderTest();
    await under.open().append(encryptEvent);
    assert.equal((await stat(dirname(under.path))).mode & 0o777, 0o700);
    for (const name of await readdir(dirname(under.path))) {
      assert.equal((await stat(join(dirname(under.path), name))).mode & 0o777, 0o600, name);
    }
  });

  it('has a mac over the rest of the entry when there is a key', async () => {
    using under = createAuditLogUnderTest();
    await under.open({ key: key() }).append(encryptEvent);
    const [line = ''] = await under.lines();
    const { mac, ...rest } = JSON.parse(line) as AuditEntry;
    const expected = createHmac('sha256', Buffer.alloc(32, 7))
      .update(canonicalize(rest) ?? '')
      .digest('hex');
    assert.equal(mac, expected);
  });

  it('once it has macs is not continued without a key', async () => {
    using under = createAuditLogUnderTest();
    await under.open({ key: key() }).append(encryptEvent);
    await assert.rejects(under.open().append(encryptEvent), { kind: 'config', message: /protected by a key/ });
    assert.equal((await under.lines()).length, 1);
  });

  it('is continued by the next process, and by several writers in one', async () => {
    using under = createAuditLogUnderTest();
    const writers = [under.open(), under.open(), under.open()];
    await Promise.all(
      Array.from({ length: 60 }, async (_, index) => await writers[index % 3]?.append(numberedEvent(index))),
    );
    const report = await verifyAudit(under.path);
    assert.partialDeepStrictEqual(report, { entries: 60, problem: null, head: { sequence: 60 } });
    assert.deepEqual(report.torn, []);
    const numbers = (await collect(readAudit(under.path))).map(({ durationMs }) => durationMs ?? -1);
    assert.deepEqual(
      numbers.toSorted((a, b) => a - b),
      Array.from({ length: 60 }, (_, index) => index),
    );
  });

  it('has no head before its first event', async () => {
    using under = createAuditLogUnderTest();
    assert.equal(await under.open().describeHead(), null);
    await assert.rejects(verifyAudit(under.path), { kind: 'notFound' });
  });

  it('cuts what is too long and mends halves of characters, so that the event is recorded all the same', async () => {
    using under = createAuditLogUnderTest();
    const message = `${'x'.repeat(4094)}\u{1f600}${'y'.repeat(100)}`;
    await under.open().append({ action: 'decrypt', outcome: 'failure', error: { kind: 'key\ud800', message } });
    const [entry] = await collect(readAudit(under.path));
    assert.equal(entry?.error?.kind, 'key\ufffd');
    assert.match(entry?.error?.message ?? '', /^x{4094}\ufffd…$/);
    assert.equal((await verifyAudit(under.path)).problem, null);
  });

  it('without a file has a chain for each process', async () => {
    using under = createAuditLogUnderTest();
    const copies: string[] = [];
    const putCopy = async (name: string, bytes: Uint8Array) => void copies.push(name, Buffer.from(bytes).toString());
    const log = under.open({ file: null, sinks: [{ kind: 'store' }] }, { putCopy });
    await log.append(numberedEvent(1));
    await log.append(numberedEvent(2));
    const head = await log.describeHead();
    assert.partialDeepStrictEqual(head, { sequence: 2, hash: sha256(copies[3]?.trimEnd() ?? '') });
    assert.deepEqual(
      [copies[0], copies[2]],
      [`${head?.chain}/000000000001.jsonl`, `${head?.chain}/000000000002.jsonl`],
    );
    assert.deepEqual(await readdir(under.folder), []);
  });
});

describe('a secret', () => {
  const value = 'correct horse battery staple';

  it('has no way into a line', async () => {
    using under = createAuditLogUnderTest();
    const log = under.open({ onFailure: 'warn' });
    const paths = [
      'action',
      'error',
      'error.message',
      'durationMs',
      'backup',
      'backup.store',
      'key.source',
      'key.id',
      'key',
    ];
    for (const path of [...paths, 'extra', 'key.value', 'backup.extra']) {
      const event = structuredClone(encryptEvent) as Record<string, unknown>;
      const steps = path.split('.');
      let target = event;
      for (const step of steps.slice(0, -1)) target = (target[step] ??= {}) as Record<string, unknown>;
      target[steps.at(-1) ?? ''] = Secret.fromText(value);
      const isRefused = (error: unknown) =>
        /not an audit event/.test(inspect(error)) && !inspect(error).includes(value);
      await assert.rejects(log.append(event as AuditEvent), isRefused, path);
    }
    await log.append({ ...encryptEvent, backup: { label: `label of ${String(Secret.fromText(value))}` } });
    const text = await readFile(under.path, 'utf8');
    assert.doesNotMatch(text, /correct|horse/);
    assert.match(text, /label of \[secret\]/);
    for (const form of ['base64', 'hex'] as const) assert.ok(!text.includes(Buffer.from(value).toString(form)));
  });

  it('that is the audit key is not in the log either', async () => {
    using under = createAuditLogUnderTest();
    await under.open({ key: Secret.fromText(value) }).append(encryptEvent);
    const text = await readFile(under.path, 'utf8');
    assert.ok(!text.includes(value) && !text.includes(Buffer.from(value).toString('hex')));
  });

  it('in a variable of the environment is not taken for the id of a job', () => {
    const env = { GITHUB_TOKEN: value, CI_JOB_TOKEN: value, CI_JOB_ID: '7', PGPASSWORD: value };
    const actor = describeActor(env);
    assert.deepEqual(actor.job, { CI_JOB_ID: '7' });
    assert.doesNotMatch(JSON.stringify(actor), /horse/);
  });
});

describe('who did it', () => {
  it('is the user, the host, and the pod and job where there are any', () => {
    const actor = describeActor({
      KUBERNETES_SERVICE_HOST: '10.0.0.1',
      HOSTNAME: 'backup-28-x7',
      SUDO_USER: 'alice',
      CI_JOB_ID: '9',
      CI_PIPELINE_ID: '',
      BUILD_TAG: 'b'.repeat(1000),
    });
    assert.partialDeepStrictEqual(actor, { pod: 'backup-28-x7', sudoUser: 'alice', pid: process.pid });
    assert.deepEqual(actor.job, { CI_JOB_ID: '9', BUILD_TAG: 'b'.repeat(256) });
    assert.ok(actor.user.length > 0 && actor.host.length > 0);
    assert.equal(describeActor({ HOSTNAME: 'laptop' }).pod, undefined);
  });
});

describe('the file of a log', () => {
  it('is by default in the folder for the state of programs', () => {
    assert.equal(defaultAuditFile({ HOME: '/home/a' }), '/home/a/.local/state/librelog-backup/audit.jsonl');
    assert.equal(defaultAuditFile({ HOME: '/h', XDG_STATE_HOME: '/state' }), '/state/librelog-backup/audit.jsonl');
    assert.match(defaultAuditFile({ HOME: '/h', XDG_STATE_HOME: 'state' }), /^\/h\/\.local/);
  });

  it('is renamed when it is full, and the next one goes on with the chain', async () => {
    using under = createAuditLogUnderTest();
    for (let number = 1; number <= 25; number += 1) {
      await under.open({ maxFileBytes: 2000 }).append(numberedEvent(number));
    }
    const names = (await readdir(dirname(under.path))).filter((name) => !name.endsWith('.lock')).toSorted();
    assert.ok(names.length > 3, names.join(' '));
    assert.equal(names.at(-1), 'audit.jsonl');
    const ends = names.slice(0, -1).map((name) => Number(/^audit\.(\d{12})\.jsonl$/.exec(name)?.[1]));
    for (const [index, name] of names.slice(1).entries()) {
      const before = (await readFile(join(dirname(under.path), names[index] ?? ''), 'utf8'))
        .trimEnd()
        .split('\n')
        .at(-1);
      const [first = ''] = (await readFile(join(dirname(under.path), name), 'utf8')).split('\n');
      assert.partialDeepStrictEqual(JSON.parse(first), {
        sequence: (ends[index] ?? 0) + 1,
        previous: sha256(before ?? ''),
      });
    }
    assert.partialDeepStrictEqual(await verifyAudit(under.path), { entries: 25, firstSequence: 1, problem: null });
    assert.deepEqual(
      (await collect(readAudit(under.path))).map(({ sequence }) => sequence),
      Array.from({ length: 25 }, (_, index) => index + 1),
    );
  });

  it('may be missing after a crash between two steps of a rotation', async () => {
    using under = createAuditLogUnderTest();
    await under.open().append(numberedEvent(1));
    await rename(under.path, under.path.replace('.jsonl', '.000000000001.jsonl'));
    assert.partialDeepStrictEqual(await under.open().describeHead(), { sequence: 1 });
    await under.open().append(numberedEvent(2));
    assert.partialDeepStrictEqual(await verifyAudit(under.path), { entries: 2, problem: null });
  });

  it('is read once when it is renamed while it is being opened', async () => {
    using under = createAuditLogUnderTest();
    await under.open().append(numberedEvent(1));
    await link(under.path, under.path.replace('.jsonl', '.000000000001.jsonl'));
    assert.partialDeepStrictEqual(await verifyAudit(under.path), { entries: 1, problem: null });
  });

  it('does not replace a file of the new name', async () => {
    using under = createAuditLogUnderTest();
    const log = under.open({ maxFileBytes: 10 });
    await log.append(numberedEvent(1));
    await writeFile(under.path.replace('.jsonl', '.000000000001.jsonl'), 'foreign');
    const problem = { kind: 'integrity', message: /is there already/ };
    await assert.rejects(log.prepare(), problem);
    await assert.rejects(log.append(numberedEvent(2)), problem);
    assert.equal((await under.lines()).length, 1);
  });

  it('is no link and no folder', async () => {
    using under = createAuditLogUnderTest();
    const linked = join(under.folder, 'link.jsonl');
    await symlink(under.path, linked);
    await assert.rejects(under.open({ file: linked }).append(encryptEvent), {
      kind: 'config',
      message: /symbolic link/,
    });
    await assert.rejects(under.open({ file: under.folder }).append(encryptEvent), { kind: 'config' });
  });

  it('of a newer version is left alone', async () => {
    using under = createAuditLogUnderTest();
    await under.open().append(encryptEvent);
    const [line = ''] = await under.lines();
    const newer = `${line.replace('"version":1}', '"version":2}')}\n`;
    await writeFile(under.path, newer);
    await assert.rejects(under.open().append(encryptEvent), { kind: 'config', message: /newer version/ });
    await assert.rejects(collect(readAudit(under.path)), { kind: 'config', message: /newer version/ });
    const { problem } = await verifyAudit(under.path);
    assert.match(problem?.reason ?? '', /of a newer version/);
    assert.equal(await readFile(under.path, 'utf8'), newer);
  });
});

describe('what is written', () => {
  it('is read back, whatever its texts are', async () => {
    const texts = string({ unit: 'grapheme', maxLength: 20 });
    await assertProperty(
      asyncProperty(array(texts, { maxLength: 5 }), constantFrom('success', 'failure'), async (labels, outcome) => {
        using under = createAuditLogUnderTest();
        const log = under.open();
        for (const label of labels) await log.append({ action: 'prune', outcome, backup: { label } });
        if (labels.length === 0) return;
        assert.deepEqual(
          (await collect(readAudit(under.path))).map(({ backup }) => backup?.label),
          labels,
        );
        assert.equal((await verifyAudit(under.path)).problem, null);
      }),
      { numRuns: 30 },
    );
  });

  it('is found by its time, action, backup, outcome and user', async () => {
    using under = createAuditLogUnderTest();
    const days = ['2026-11-01', '2026-11-02', '2026-11-03'].map((day) => new Date(`${day}T00:00:00Z`));
    const failure = { outcome: 'failure', error: { kind: 'key', message: 'x' } } as const;
    await under.open({}, { now: () => days[0] as Date }).append(encryptEvent);
    await under
      .open({}, { now: () => days[1] as Date, env: { SUDO_USER: 'alice' } })
      .append({ action: 'shred', ...failure });
    await under.open({}, { now: () => days[2] as Date }).append({ action: 'delete', outcome: 'success' });
    const { user } = describeActor({});
    const cases: [AuditFilter, number[]][] = [
      [{}, [1, 2, 3]],
      [{ since: days[1] }, [2, 3]],
      [{ until: days[1] }, [1]],
      [{ actions: ['shred', 'delete'] }, [2, 3]],
      [{ backup: 'shop' }, [1]],
      [{ backup: '20261124T010203Z-7f3a9c' }, [1]],
      [{ outcome: 'failure' }, [2]],
      [{ user: 'alice' }, [2]],
      [{ user }, [1, 2, 3]],
      [{ user: 'nobody-else' }, []],
      [{ since: days[1], outcome: 'success' }, [3]],
    ];
    for (const [filter, expected] of cases) {
      const found = await collect(readAudit(under.path, filter));
      assert.deepEqual(
        found.map(({ sequence }) => sequence),
        expected,
        inspect(filter),
      );
    }
    assert.equal(basename(under.path), 'audit.jsonl');
  });
});
