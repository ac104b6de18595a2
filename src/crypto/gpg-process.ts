import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { BackupError } from '../core/backup-error.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import type { Secret } from '../core/secret.ts';
import { type GpgRun, type GpgStatusLine, parseStatusLine } from './gpg-status.ts';
import type { WatchedInput } from './stall-watchdog.ts';

export interface GpgProcessOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly passphrase?: Secret | undefined;
  readonly signal?: AbortSignal | undefined;
}

const statusFd = 3;
const passphraseFd = 4;

const decryptArgs = [
  '--batch',
  '--no-tty',
  '--status-fd',
  String(statusFd),
  // A signature inside is not our business, and must not send gpg looking for its maker's certificate.
  '--skip-verify',
  '--disable-dirmngr',
  '--no-symkey-cache',
];
const passphraseArgs = ['--pinentry-mode', 'loopback', '--passphrase-fd', String(passphraseFd)];

/** What gpg, its agent and the agent's dialog need to know of the world; nothing else of ours reaches them. */
const passedOn = [
  'PATH',
  'HOME',
  'USER',
  'LOGNAME',
  'TMPDIR',
  'GNUPGHOME',
  'GPG_TTY',
  'TERM',
  'DISPLAY',
  'WAYLAND_DISPLAY',
  'XAUTHORITY',
  'XDG_RUNTIME_DIR',
  'DBUS_SESSION_BUS_ADDRESS',
];

export function gpgEnvironment(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const known = passedOn.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]] as const]));
  return { ...Object.fromEntries(known), LC_ALL: 'C' };
}

/** A running `gpg --decrypt`, which is fed by itself. */
export interface GpgProcess {
  /** What gpg decrypts, as it comes. Its end says nothing: see `finish`. */
  readonly output: ByteStream;
  /** How it went, once gpg has ended. Never fails. */
  finish(): Promise<GpgRun>;
  /** Ends gpg; settles when it is gone. */
  kill(): Promise<void>;
}

/** Starts gpg on `input`. When that fails gpg is killed: the end of its input would mean the end of the message to it. */
export function startGpg(input: WatchedInput, { env, passphrase, signal }: GpgProcessOptions): GpgProcess {
  const args = [...decryptArgs, ...(passphrase === undefined ? [] : passphraseArgs), '--decrypt'];
  const child = spawn('gpg', args, {
    env: gpgEnvironment(env),
    stdio: ['pipe', 'pipe', 'pipe', 'pipe', passphrase === undefined ? 'ignore' : 'pipe'],
  });
  const ended = endOf(child);
  const pipes = openPipes(child);
  if (passphrase !== undefined) pipes.passphrase.end(Buffer.concat([passphrase.reveal(), Buffer.from('\n')]));
  const status = collectStatus(pipes.status);
  const stderr = collectText(pipes.stderr);
  const kill = (): void => void child.kill('SIGKILL');
  const feeding = feed(input, pipes.stdin).catch(() => {
    kill();
    return false;
  });
  signal?.addEventListener('abort', kill, { once: true });
  return {
    output: readToEnd(pipes.stdout),
    finish: async () => {
      const { exitCode, signal: endedBy } = await ended;
      // A gpg that has failed may have left its input alone, which then has nowhere to go.
      const hasReadAll = exitCode === 0 && (await feeding);
      return { exitCode, signal: endedBy, hasReadAll, status: await status, stderr: await stderr };
    },
    kill: async () => {
      signal?.removeEventListener('abort', kill);
      kill();
      pipes.stdout.destroy();
      await ended;
    },
  };
}

interface Pipes {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly status: Readable;
  readonly passphrase: Writable;
}

function openPipes(child: ChildProcess): Pipes {
  const [stdin, stdout, stderr, status, passphrase] = child.stdio;
  // Without free descriptors a child gets no pipes.
  if (!stdin || !stdout || !stderr || !status) throw new BackupError('key', 'cannot start gpg: no free descriptors');
  // Who does not read any more is reported by the exit code.
  for (const pipe of child.stdio) pipe?.on('error', () => {});
  return { stdin, stdout, stderr, status: status as Readable, passphrase: passphrase as Writable };
}

/** Whether gpg took all of it. Fails when the input does. */
async function feed(input: WatchedInput, stdin: Writable): Promise<boolean> {
  for await (const chunk of input.stream) if (!(await write(stdin, chunk))) return false;
  stdin.end();
  return true;
}

async function write(stdin: Writable, chunk: Uint8Array): Promise<boolean> {
  return await new Promise((resolve) => {
    stdin.write(chunk, (error) => resolve(!error));
  });
}

/** A pipe that breaks ends here as well: the exit code says why. */
async function* readToEnd(stdout: Readable): ByteStream {
  try {
    yield* stdout as AsyncIterable<Uint8Array>;
  } catch {
    return;
  }
}

/** gpg reports its progress thousands of times; the rest is a few lines per recipient. */
const maxStatusLines = 10_000;

async function collectStatus(stream: Readable): Promise<readonly GpgStatusLine[]> {
  const lines: GpgStatusLine[] = [];
  try {
    for await (const text of createInterface({ input: stream })) {
      const line = parseStatusLine(text);
      if (line !== null && line.keyword !== 'PROGRESS' && lines.length < maxStatusLines) lines.push(line);
    }
  } catch {
    // Lines that are missing are never taken for good.
  }
  return lines;
}

const maxStderrChars = 8_192;

async function collectText(stream: Readable): Promise<string> {
  let text = '';
  try {
    for await (const chunk of stream.setEncoding('utf8')) text = (text + String(chunk)).slice(-maxStderrChars);
  } catch {
    // For messages only.
  }
  return text;
}

async function endOf(child: ChildProcess): Promise<{ exitCode: number | null; signal: string | null }> {
  try {
    const [exitCode, signal] = (await once(child, 'exit')) as [number | null, string | null];
    return { exitCode, signal };
  } catch {
    return { exitCode: null, signal: null };
  }
}
