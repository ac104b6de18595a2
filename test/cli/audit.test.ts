import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Secret } from '../../src/core/secret.ts';
import { assertFailure } from '../support/cli-assertions.ts';
import {
  createAuditLogUnderTest,
  encryptEvent,
  numberedEvent,
  type AuditLogUnderTest,
} from '../support/audit-log-under-test.ts';
import { runCli, type CliRun } from '../support/run-cli.ts';

const keyHex = '07'.repeat(32);

async function run(under: AuditLogUnderTest, args: string, env: Record<string, string> = {}): Promise<CliRun> {
  const base = { PATH: '/usr/bin:/bin', HOME: under.folder, LIBRELOG_BACKUP_AUDIT_FILE: under.path };
  return await runCli(['audit', ...args.split(' ')], { cwd: under.folder, env: { ...base, ...env } });
}

/** Six entries with macs, the first two of them in a file of their own. */
async function write(under: AuditLogUnderTest): Promise<void> {
  const key = new Secret(Buffer.from(keyHex, 'hex'));
  const log = under.open({ key });
  await log.append(encryptEvent);
  const message = 'cannot read secret\u001b[2J env:KEY: größe';
  const used = { source: 'env:KEY', purpose: 'unwrap' };
  await log.append({ action: 'key-access', outcome: 'failure', error: { kind: 'key', message }, key: used });
  await under.open({ key, maxFileBytes: 1 }).append(numberedEvent(3));
  for (let number = 4; number <= 6; number += 1) await log.append(numberedEvent(number));
}

describe('audit show', () => {
  it('lists what was recorded, and cannot steer the terminal', async () => {
    using under = createAuditLogUnderTest();
    await write(under);
    const { code, stdout, stderr } = await run(under, 'show');
    assert.deepEqual([code, stderr], [0, '']);
    const lines = stdout.trimEnd().split('\n');
    assert.equal(lines.length, 7);
    assert.match(lines[0] ?? '', /^ENTRY +TIME +WHO +ACTION +OUTCOME +TOOK +BACKUP +KEY$/);
    assert.match(
      lines[1] ?? '',
      /^1 +2026-11-24T01:02:03\.004Z .*@.* encrypt +success +1\.2s +shop\/2026.* wrap vault:/,
    );
    assert.match(lines[2] ?? '', /failure +- +- +unwrap env:KEY key: cannot read secret\u{fffd}\[2J env:KEY: größe$/u);
  });

  it('finds what the filters ask for', async () => {
    using under = createAuditLogUnderTest();
    await write(under);
    const found = async (args: string, env = {}) => {
      const { code, stdout, stderr } = await run(under, `show --json ${args}`, env);
      assert.equal(code, 0, stderr);
      return (JSON.parse(stdout) as { entries: { sequence: number }[] }).entries.map(({ sequence }) => sequence);
    };
    assert.deepEqual(await found('--outcome failure'), [2]);
    assert.deepEqual(await found('--action encrypt --action shred'), [1]);
    assert.deepEqual(await found('--last 2', { LIBRELOG_BACKUP_ACTION: 'key-access, shred' }), [5, 6]);
    assert.deepEqual(await found('--backup shop --since 2026-11-24'), [1]);
    assert.deepEqual(await found('--until 2026-11-24T01:02:03Z'), []);
    assert.deepEqual(await found('--user nobody-else'), []);
    assert.match((await run(under, 'show --user nobody-else')).stdout, /^no entries$/m);
  });

  it('refuses what it cannot understand', async () => {
    using under = createAuditLogUnderTest();
    await write(under);
    for (const args of ['--since yesterday', '--outcome maybe', '--action encript', '--last many']) {
      assert.equal((await run(under, `show ${args}`)).code, 2, args);
    }
    const missing = await run(under, 'show --audit-file nowhere.jsonl');
    assertFailure(missing, { code: 21, message: /^there is no audit log "nowhere\.jsonl"$/, hint: /--audit-file/ });
  });
});

describe('audit verify', () => {
  const key = '--audit-key env:AUDIT_KEY';
  const env = { AUDIT_KEY: keyHex };

  it('says that a log is whole, and its head, which proves its end later', async () => {
    using under = createAuditLogUnderTest();
    await write(under);
    const whole = await run(under, `verify ${key}`, env);
    assert.equal(whole.code, 0, whole.stderr);
    assert.match(
      whole.stdout,
      /^audit log is whole: 6 entries; macs are right; nothing proves its end\nhead \w+:6:\w+\n$/,
    );
    const [, head = ''] = /^head (.*)$/m.exec(whole.stdout) ?? [];
    assert.match(
      (await run(under, `verify --audit-head ${head}`)).stdout,
      /not checked without a key; 1 recorded heads/,
    );
    const lines = await under.lines();
    writeFileSync(
      under.path,
      lines
        .slice(0, -1)
        .map((line) => `${line}\n`)
        .join(''),
    );
    assert.equal((await run(under, `verify ${key}`, env)).code, 0);
    const cut = await run(under, 'verify', {
      LIBRELOG_BACKUP_AUDIT_HEAD: `${head},${'ab'.repeat(16)}:1:${'cd'.repeat(32)}`,
    });
    assert.equal(cut.code, 40);
    assert.match(cut.stderr, /^librelog-backup: audit log is truncated at entry 6, ".*audit\.jsonl" line \d: /m);
    assert.match(cut.stdout, /chain (?:ab){16}, which is another log/);
  });

  it('names the first entry that was altered, also as JSON', async () => {
    using under = createAuditLogUnderTest();
    await write(under);
    const file = under.path.replace('.jsonl', '.000000000002.jsonl');
    writeFileSync(file, readFileSync(file, 'utf8').replace('"outcome":"failure"', '"outcome":"success"'));
    const altered = await run(under, `verify --json ${key}`, env);
    assert.equal(altered.code, 40);
    assert.match(
      altered.stderr,
      /audit log is unauthenticated at entry 2, ".*\.000000000002\.jsonl" line 2: its mac is wrong/,
    );
    assert.partialDeepStrictEqual(JSON.parse(altered.stdout), { problem: { file, line: 2, sequence: 2 } });
    assert.match((await run(under, 'verify')).stderr, /audit log is altered at entry 2, .* line 2: its hash is not/);
  });

  it('refuses a key that is none, and a head that is none', async () => {
    using under = createAuditLogUnderTest();
    await write(under);
    assertFailure(await run(under, `verify ${key}`), { code: 30, message: /env:AUDIT_KEY/, hint: null });
    const noHead = await run(under, 'verify --audit-head 6');
    assertFailure(noHead, { code: 2, message: /"6" is not a head/, hint: /CHAIN:SEQUENCE:HASH/ });
  });
});

describe('the script in docs/audit.md', () => {
  const docs = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'audit.md'), 'utf8');
  const script = /```python\n(?<script>.*?)```/s.exec(docs)?.groups?.['script'] ?? '';

  it('comes to the same as the tool', async () => {
    using under = createAuditLogUnderTest();
    await write(under);
    const head = await under.open().describeHead();
    for (const args of [[under.path], [under.path, keyHex]]) {
      const printed = execFileSync('python3', ['-c', script, ...args], { encoding: 'utf8' });
      assert.equal(printed, `whole: 6 entries, head ${head?.hash}\n`);
    }
    const file = under.path.replace('.jsonl', '.000000000002.jsonl');
    writeFileSync(file, readFileSync(file, 'utf8').replace('"outcome":"failure"', '"outcome":"success"'));
    for (const [args, line] of [
      [[under.path], 'audit.jsonl:1'],
      [[under.path, keyHex], 'audit.000000000002.jsonl:2'],
    ] as const) {
      const { status, stderr } = spawnSync('python3', ['-c', script, ...args], { encoding: 'utf8' });
      assert.equal(status, 1);
      assert.ok(stderr.includes(`${line}: entry`), stderr);
    }
  });
});
