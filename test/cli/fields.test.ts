import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { rotateKeyringFile } from '../../src/keys/keyring-file.ts';
import { assertFailure } from '../support/cli-assertions.ts';
import { readProcessFile } from '../support/child-processes.ts';
import { runCli, startCli, type CliRun } from '../support/run-cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'lb-fields-'));
after(() => rmSync(folder, { recursive: true }));
const env = { PATH: '/usr/bin:/bin', HOME: folder };

const fernet = { FERNET: 'cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=' };
const fernetHello =
  'gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==';

async function run(command: string, input: string, more: Record<string, string> = {}): Promise<CliRun> {
  return await runCli(command.split(' '), { cwd: folder, env: { ...env, ...more }, input });
}

/** Runs what has to work, and gives what it wrote. */
async function succeed(command: string, input: string, more: Record<string, string> = {}): Promise<string> {
  const { code, stdout, stderr } = await run(command, input, more);
  assert.equal(code, 0, stderr);
  return stdout;
}

/** A failure in the middle: what was written before it stays. */
function assertBroken({ stdout, ...run }: CliRun, written: string, failure: { code: number; message: RegExp }): void {
  assert.equal(stdout, written);
  assertFailure({ ...run, stdout: '' }, { ...failure, hint: null });
}

before(async () => {
  await succeed('keys generate aes-256 --output ring', '');
});

const use = '--key file:ring --context users.email';

describe('fields encrypt and decrypt', () => {
  it('replace every line, with a key file of keys generate', async () => {
    const values = 'alice@example.com\n\nGrüße, 日本\nlast';
    const tokens = await succeed(`fields encrypt ${use}`, values);
    assert.match(tokens, /^(?:lbf1\.[0-9a-f]{16}\.\.[A-Za-z0-9_-]+\n){4}$/);
    assert.equal(await succeed(`fields decrypt ${use}`, tokens), `${values}\n`);
  });

  it('say how many values there were on stderr, and nothing for no lines', async () => {
    const { stderr } = await run(`fields encrypt ${use}`, 'a\nb\n');
    assert.match(stderr, /encrypted 2 values/);
    assert.equal(await succeed(`fields encrypt ${use}`, ''), '');
  });

  it('replace fields of JSON lines and leave the rest as it is', async () => {
    const rows = [
      '{"id": 12345678901234567890, "email": "a@b.c", "phone": null}',
      '{"email":"d","phone":"e\\n","id":2}',
    ];
    const fields = '--key file:ring --context users --field email --field phone --field email';
    const encrypted = await succeed(`fields encrypt ${fields}`, rows.join('\n'));
    assert.match(encrypted, /^\{"id": 12345678901234567890, "email": "lbf1\.[^"]+", "phone": null\}\n\{"email":"lbf1/);
    assert.equal(await succeed(`fields decrypt ${fields}`, encrypted), `${rows.join('\n')}\n`);
    const [email = ''] = /lbf1\.[^"]+/.exec(encrypted) ?? [];
    assert.equal(await succeed(`fields decrypt ${use}`, email), 'a@b.c\n');
  });

  it('take their options from the environment as all commands do', async () => {
    const settings = {
      LIBRELOG_BACKUP_KEY: 'file:ring',
      LIBRELOG_BACKUP_CONTEXT: 'users',
      LIBRELOG_BACKUP_FIELD: 'a,b',
    };
    const encrypted = await succeed('fields encrypt', '{"a":"1","b":"2","c":"3"}', settings);
    assert.match(encrypted, /^\{"a":"lbf1[^"]+","b":"lbf1[^"]+","c":"3"\}\n$/);
  });

  it('stop at a broken line, with its number, and write nothing after it', async () => {
    const tokens = (await succeed(`fields encrypt ${use}`, 'one\ntwo\nthree\n')).split('\n');
    const [first = '', second = '', third = ''] = tokens;
    const broken = second.slice(0, -1) + (second.endsWith('A') ? 'Q' : 'A');
    const decrypted = await run(`fields decrypt ${use}`, [first, broken, third].join('\n'));
    assertBroken(decrypted, 'one\n', {
      code: 40,
      message: /^line 2: the (token was altered|value is not a whole token)/,
    });
    const json = await run(`fields encrypt --key file:ring --context users --field a`, '{"b":"1"}\n{"a":"2"}\n');
    assertBroken(json, '', { code: 40, message: /^line 1: there is no field "a"$/ });
    const twice = await run(`fields encrypt ${use}`, `${first}\n`);
    assertBroken(twice, '', { code: 40, message: /^line 1: the value is a token already$/ });
  });

  it('refuse another context, and name a key that is not at hand', async () => {
    const token = await succeed(`fields encrypt ${use}`, 'alice');
    const context = await run('fields decrypt --key file:ring --context users.phone', token);
    assertFailure(context, { code: 40, message: /^line 1: .*belongs to another context$/, hint: /context/ });
    const other = await run('fields decrypt --key env:OTHER --context users.email', token, { OTHER: '22'.repeat(32) });
    assertFailure(other, { code: 30, message: /^line 1: the token wants key [0-9a-f]{16}; at hand: .* of env:OTHER$/ });
  });

  it('need key and context, before any line is read', async () => {
    assertFailure(await run('fields encrypt --context x', 'a'), { code: 2, message: /'--key <ref>' not specified/ });
    assertFailure(await run('fields encrypt --key file:ring', 'a'), {
      code: 2,
      message: /'--context <text>' not specified/,
    });
    assertFailure(await run('fields encrypt --key file:none --context x', 'a'), {
      code: 30,
      message: /file:none: there is no such file/,
      hint: null,
    });
    const empty = await runCli(['fields', 'encrypt', '--key', 'file:ring', '--context', ''], {
      cwd: folder,
      env,
      input: 'a',
    });
    assertFailure(empty, { code: 2, message: /needs a context/ });
  });

  it('never show value, key or token of a broken line', async () => {
    const secret = '5ec2e75ec2e7'.padEnd(64, '0');
    const { stderr } = await run('fields decrypt --key env:K --context c --log-level debug', 'hunter2\n', {
      K: secret,
    });
    assert.doesNotMatch(stderr, /hunter2|5ec2e7/);
  });

  it('warn of a key file that others can read', async () => {
    writeFileSync(join(folder, 'open.key'), '11'.repeat(32));
    chmodSync(join(folder, 'open.key'), 0o644);
    const { code, stderr } = await run('fields encrypt --key file:open.key --context x', 'a');
    assert.equal(code, 0);
    assert.match(stderr, /warn: .*open\.key" can be read by other users/);
  });
});

describe('fields rotate', () => {
  it('makes tokens of retired keys and of Fernet anew, and leaves those of the active key', async () => {
    await succeed('keys generate aes-256 --output rotated', '');
    const use = '--key file:rotated --context users.email';
    const before = await succeed(`fields encrypt ${use}`, 'old');
    const { keyId, retiredKeyId } = await rotateKeyringFile(join(folder, 'rotated'), { now: new Date() });
    const current = await succeed(`fields encrypt ${use}`, 'new');
    const { code, stdout, stderr } = await run(
      `fields rotate ${use} --fernet-key env:FERNET`,
      `${before}${current}${fernetHello}`,
      fernet,
    );
    assert.equal(code, 0, stderr);
    assert.match(stderr, /encrypted anew 2 values/);
    const [one = '', two = '', three = ''] = stdout.split('\n');
    assert.equal(`${two}\n`, current);
    for (const token of [one, three]) assert.ok(token.startsWith(`lbf1.${keyId}.`), token);
    assert.equal(await succeed(`fields decrypt ${use}`, stdout), 'old\nnew\nhello\n');
    assert.equal(
      await succeed(`fields decrypt --key file:rotated@${keyId} --context users.email`, stdout),
      'old\nnew\nhello\n',
    );
    const gone = await run(`fields decrypt --key file:rotated@${keyId} --context users.email`, before);
    assertFailure(gone, { code: 30, message: new RegExp(`wants key ${retiredKeyId}`) });
  });

  it('refuses Fernet tokens without their key, and those that are too old', async () => {
    assertFailure(await run(`fields rotate ${use}`, fernetHello), { code: 30, message: /no Fernet key is at hand/ });
    const old = await run(`fields decrypt ${use} --fernet-key env:FERNET --fernet-ttl 30d`, fernetHello, fernet);
    assertFailure(old, { code: 40, message: /^line 1: the Fernet token is older than 2592000 s$/, hint: null });
  });
});

/** Command whose standard input is the file at `path`, opened in a way that waits for nobody to write. */
const withInput = (path: string, open = '<'): string[] => ['/bin/sh', '-c', `exec "$0" "$@" ${open}${path}`];

describe('a stream of fields', () => {
  it('takes no more memory for 160 MiB than for one line', async () => {
    const line = `${'x'.repeat(100 * 1024 - 1)}\n`;
    const peakOf = async (lines: number): Promise<number> => {
      const path = join(folder, `lines-${lines}`);
      writeFileSync(path, line.repeat(lines));
      const stdout = openSync('/dev/null', 'w');
      const wrapper = withInput(path);
      const running = startCli(`fields encrypt ${use}`.split(' '), { cwd: folder, env, wrapper, stdout });
      let peakMib = 0;
      const timer = setInterval(() => {
        const [, peakKib] = /^VmHWM:\s+(\d+) kB/m.exec(readProcessFile(running.pid, 'status')) ?? [];
        peakMib = Math.max(peakMib, Number(peakKib ?? 0) / 1024);
      }, 2);
      const { code, stderr } = await running.ended;
      clearInterval(timer);
      closeSync(stdout);
      assert.equal(code, 0, stderr);
      assert.match(stderr, new RegExp(`encrypted ${lines} value`));
      return peakMib;
    };
    const [one, many] = [await peakOf(1), await peakOf(1600)];
    assert.ok(many - one < 80, `${Math.round(one)} MiB for one line, ${Math.round(many)} MiB for many`);
  });

  it('gives each line before it waits for the next, and ends by SIGTERM while it waits', async () => {
    const path = join(folder, 'fifo');
    await promisify(execFile)('mkfifo', [path]);
    const running = startCli(`fields encrypt ${use}`.split(' '), { cwd: folder, env, wrapper: withInput(path, '<>') });
    assert.ok(running.child.stdout);
    const answered = once(running.child.stdout, 'data');
    writeFileSync(path, 'alice\n');
    await answered;
    running.kill('SIGTERM');
    const { code, stdout, stderr } = await running.ended;
    assert.equal(code, 143, stderr);
    assert.match(stdout, /^lbf1\.[^\n]+\n$/);
    assert.match(stderr, /ended by SIGTERM/);
  });

  it('fails when nobody takes its output any more, or there is no room for it', async () => {
    const path = join(folder, 'lines');
    writeFileSync(path, 'alice\n'.repeat(100_000));
    const command = `fields encrypt ${use}`.split(' ');
    const wrapper = ['bash', '-c', `"$@" <${path} | head -n 1; exit \${PIPESTATUS[0]}`, 'bash'];
    const closed = await runCli(command, { cwd: folder, env, wrapper });
    assert.match(closed.stdout, /^lbf1\.[^\n]+\n$/);
    assertFailure({ ...closed, stdout: '' }, { code: 20, message: /^standard output was closed$/, hint: null });
    const stdout = openSync('/dev/full', 'w');
    const full = await runCli(command, { cwd: folder, env, wrapper: withInput(path), stdout });
    closeSync(stdout);
    assertFailure(full, { code: 20, message: /^cannot write to standard output: .*no space/i, hint: null });
  });
});

describe('librelog-backup/fields', () => {
  it('is what programs import', async () => {
    const program = `
      import { BackupError, decryptField, encryptField, needsRotation, openFieldKeyring } from 'librelog-backup/fields';
      using keyring = await openFieldKeyring({ keys: ['file:ring'] });
      const token = encryptField(keyring, 'alice', { context: 'users.email' });
      const value = decryptField(keyring, token, { context: 'users.email' }).toString();
      let kind;
      try { decryptField(keyring, token, { context: 'x' }); } catch (error) { kind = error instanceof BackupError && error.kind; }
      console.log(JSON.stringify({ value, kind, needsRotation: needsRotation(token, keyring) }));`;
    const root = join(import.meta.dirname, '..', '..');
    const script = program.replace('file:ring', `file:${join(folder, 'ring')}`);
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], {
      cwd: root,
    });
    assert.deepEqual(JSON.parse(stdout), { value: 'alice', kind: 'integrity', needsRotation: false });
  });
});
