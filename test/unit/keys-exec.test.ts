import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { readSecret } from '../../src/keys/read-secret.ts';
import { parseSecretReference } from '../../src/keys/secret-reference.ts';
import { readProcessFile } from '../support/child-processes.ts';

const folder = await mkdtemp(join(tmpdir(), 'librelog-exec-'));
after(async () => await rm(folder, { recursive: true }));

const baseEnv = { PATH: process.env['PATH'] };

async function run(command: string, env: Record<string, string> = {}, signal?: AbortSignal): Promise<Buffer> {
  const access = { env: { ...baseEnv, ...env }, ...(signal !== undefined && { signal }) };
  const { secret, version } = await readSecret(parseSecretReference(`exec:${command}`), access);
  assert.equal(version, undefined);
  return Buffer.from(secret.reveal());
}

async function waitFor(isSo: () => boolean): Promise<void> {
  while (!isSo()) await sleep(10);
}

/** A command that starts a process in the background, writes its id to `file`, and waits for ever. */
function withChild(file: string): string {
  return `sleep 1000 & echo $! > ${file}.new; mv ${file}.new ${file}; wait`;
}

function isRunning(file: string): boolean {
  return readProcessFile(Number(readFileSync(file, 'utf8')), 'cmdline').includes('sleep');
}

describe('exec:', () => {
  it('takes what the command prints, byte for byte', async () => {
    assert.equal((await run("printf 'a b\\n'")).toString(), 'a b\n');
    assert.equal((await run('echo "$A" | tr a-z A-Z # not @ a #field', { A: 'key' })).toString(), 'KEY\n');
    assert.deepEqual(await run("printf '\\377\\000\\n\\n'"), Buffer.from([0xff, 0, 10, 10]));
  });

  it('gives the command no input', async () => {
    assert.equal((await run('cat; echo end')).toString(), 'end\n');
  });

  it('keeps stderr apart', async () => {
    assert.equal((await run('echo warning >&2; printf secret')).toString(), 'secret');
  });

  it('reads output that comes after the command has ended, and does not wait for a daemon that says nothing', async () => {
    assert.equal((await run('(sleep 0.1; printf late) & printf early-')).toString(), 'early-late');
    const file = join(folder, 'daemon');
    assert.equal((await run(`sleep 1000 >/dev/null & echo $! > ${file}; printf out`)).toString(), 'out');
    assert.ok(isRunning(file));
    process.kill(Number(readFileSync(file, 'utf8')));
  });

  it('shows nothing of a secret that the command traces, however long it is and however it is quoted', async () => {
    const value = Array.from({ length: 300 }, (_, index) => `part-${index}`).join(' ');
    const quoted = `it's "${value.slice(0, 40)}" \\ $HOME`;
    const [name, short] = ['SECRET_OF_TEST', `a'b'c'd'e'f`];
    for (const secret of [value, `${value}\nlast line`, quoted, short]) {
      for (const command of [
        `(set -x; printf %s "$${name}"); exit 1`,
        `printf %s "$${name}"; bash -xc ': "$${name}"'; exit 1`,
        `printf %s "$${name}"; printf '%s is wrong %0300d' "$${name}" 0 >&2; exit 1`,
      ]) {
        await assert.rejects(run(command, { [name]: secret }), {
          kind: 'key',
          message: /: the command failed with exit code 1$/,
        });
      }
    }
  });

  it('fails with key and the last line of stderr, without what was printed', async () => {
    const cases: [string, RegExp][] = [
      ['echo hunter2; exit 3', /^cannot read secret exec:.*: the command failed with exit code 3$/],
      ['echo hunter2; printf "x\\nno such entry\\n" >&2; exit 1', /exit code 1: no such entry$/],
      ['echo hunter2; echo "+ echo hunter2" >&2; exit 1', /exit code 1$/],
      ['no-such-command-here', /exit code 127: .*not found/],
      ['kill -KILL $$', /was killed by SIGKILL$/],
      ['head -c 100000 /dev/zero | tr "\\0" e >&2; exit 9', /exit code 9: e{200}$/],
      ['true', /is empty$/],
    ];
    for (const [command, message] of cases) {
      await assert.rejects(run(command), (error) => {
        assert.ok(error instanceof Error && 'kind' in error && error.kind === 'key');
        assert.match(error.message, message);
        const afterName = inspect(error).replaceAll(`exec:${command}`, '');
        return !afterName.includes('hunter2');
      });
    }
  });

  it('kills the command and all that it has started when it takes too long', async () => {
    const file = join(folder, 'late');
    const late = run(withChild(file), { LIBRELOG_BACKUP_EXEC_TIMEOUT: '0.5s' });
    await assert.rejects(late, { kind: 'key', message: /has not ended within 0.5 s \(LIBRELOG_BACKUP_EXEC_TIMEOUT\)/ });
    await waitFor(() => !isRunning(file));
  });

  it('kills the command when it prints more than a secret can be', async () => {
    await assert.rejects(run('yes'), { kind: 'key', message: /prints more than 1048576 bytes/ });
    assert.equal((await run('head -c 1048576 /dev/zero')).byteLength, 1048576);
  });

  it('kills the command and all that it has started when it is aborted, and throws the reason', async () => {
    const file = join(folder, 'aborted');
    const controller = new AbortController();
    const pending = run(withChild(file), {}, controller.signal);
    await Promise.race([pending, waitFor(() => existsSync(file))]);
    assert.ok(isRunning(file));
    controller.abort(new Error('enough'));
    await assert.rejects(pending, { message: 'enough' });
    await waitFor(() => !isRunning(file));
    await assert.rejects(run('echo a', {}, controller.signal), { message: 'enough' });
  });

  it('fails with config when its timeout is not a duration', async () => {
    const read = run('echo a', { LIBRELOG_BACKUP_EXEC_TIMEOUT: 'soon' });
    await assert.rejects(read, { kind: 'config', message: /LIBRELOG_BACKUP_EXEC_TIMEOUT is not a duration/ });
  });
});
