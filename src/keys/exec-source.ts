import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { BackupError, describeError } from '../core/backup-error.ts';
import { parseDuration } from '../core/duration.ts';
import { Secret } from '../core/secret.ts';
import type { Environment, SecretAccess, SecretRead } from './read-secret.ts';
import type { SecretReference } from './secret-reference.ts';

/** As for files: a command that prints more was named by mistake. */
const maxSecretBytes = 1024 * 1024;
const maxComplaintChars = 200;
const maxTailChars = 4 * maxComplaintChars;
/** Two texts that share so many characters on end are taken to be related. */
const telltaleChars = 12;
const timeoutVariable = 'LIBRELOG_BACKUP_EXEC_TIMEOUT';
const defaultTimeoutMs = 60_000;

/**
 * `exec:COMMAND`: what `/bin/sh -c COMMAND` prints, byte for byte, read to its end. The command has our environment, an
 * empty stdin and no terminal; it and all that it has started are killed when it prints too much, when the signal
 * aborts, or after LIBRELOG_BACKUP_EXEC_TIMEOUT (a minute by default). When it fails, the error has the last line of its
 * stderr, but nothing of what it printed.
 */
export async function runSecretCommand(reference: SecretReference, access: SecretAccess): Promise<SecretRead> {
  const { text: name, location: command } = reference;
  const timeoutMs = readTimeout(access.env);
  const outcome = await run(command, access, timeoutMs).catch((error: unknown) => {
    access.signal?.throwIfAborted();
    throw new BackupError('key', `cannot run ${name}: ${describeError(error)}`, { cause: error });
  });
  const secret = new Secret(outcome.stdout);
  const problem = describeProblem(outcome, timeoutMs);
  if (problem === undefined && access.signal?.aborted !== true) return { secret, warnings: [] };
  secret[Symbol.dispose]();
  access.signal?.throwIfAborted();
  throw new BackupError('key', `cannot read secret ${name}: the command ${problem}`);
}

function readTimeout(env: Environment): number {
  const text = env[timeoutVariable];
  if (text === undefined) return defaultTimeoutMs;
  try {
    // Timers take no more.
    return Math.min(parseDuration(text), 2 ** 31 - 1);
  } catch (error) {
    throw new BackupError('config', `${timeoutVariable} is not a duration`, { hint: 'Write 90s or 5m.', cause: error });
  }
}

interface Outcome {
  readonly stdout: Uint8Array;
  readonly isTooLarge: boolean;
  readonly isLate: boolean;
  /** The last line of stderr that has something in it. */
  readonly complaint: string;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

type SecretCommand = ChildProcessByStdio<null, Readable, Readable>;

async function run(command: string, { env, signal }: SecretAccess, timeoutMs: number): Promise<Outcome> {
  signal?.throwIfAborted();
  // Detached: the command leads a process group, by which all that it starts can be killed.
  const child = spawn('/bin/sh', ['-c', command], { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const deadline = AbortSignal.timeout(timeoutMs);
  const end = signal === undefined ? deadline : AbortSignal.any([signal, deadline]);
  const kill = (): void => killGroup(child);
  end.addEventListener('abort', kill, { once: true });
  try {
    const stderr = readTail(child.stderr);
    const [output, exit] = await Promise.all([readBounded(child), exitOf(child)]);
    return { ...output, ...exit, isLate: deadline.aborted, complaint: lastLine(stderr(), output.stdout) };
  } finally {
    end.removeEventListener('abort', kill);
    // A daemon that the command has left behind may keep it open.
    child.stderr.destroy();
  }
}

async function exitOf(child: SecretCommand): Promise<Pick<Outcome, 'code' | 'signal'>> {
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  return { code, signal };
}

async function readBounded(child: SecretCommand): Promise<Pick<Outcome, 'stdout' | 'isTooLarge'>> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes <= maxSecretBytes) chunks.push(chunk);
    else killGroup(child);
  }
  const stdout = Uint8Array.from(Buffer.concat(chunks));
  for (const chunk of chunks) chunk.fill(0);
  return { stdout, isTooLarge: sizeBytes > maxSecretBytes };
}

/**
 * Keeps the end of what a stream says; never fails. Where that was cut, what is left of a word there may be too little to
 * tell that it is of the secret, so that the beginning is dropped.
 */
function readTail(stream: Readable): () => string {
  let tail = '';
  let isCut = false;
  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    const all = tail + text;
    isCut ||= all.length > maxTailChars;
    tail = all.slice(-maxTailChars);
  });
  stream.on('error', () => {});
  return () => (isCut ? tail.slice(maxComplaintChars) : tail);
}

/** Empty when it repeats the secret, or a part of it, as `set -x` would. */
function lastLine(stderr: string, stdout: Uint8Array): string {
  const line = linesOf(stderr).at(-1) ?? '';
  const isLeak = hasPartOf(line, Buffer.from(stdout).toString('utf8'));
  return isLeak ? '' : line.replaceAll(/\p{Cc}/gu, ' ').slice(0, maxComplaintChars);
}

/** Whether a text has a whole line of the secret, or so much of it that it is no chance, however a shell has quoted it. */
function hasPartOf(text: string, secret: string): boolean {
  const [where, what] = [withoutQuotes(text), withoutQuotes(secret)];
  const starts = Array.from({ length: Math.max(where.length - telltaleChars + 1, 0) }, (_, start) => start);
  return (
    linesOf(what).some((line) => where.includes(line)) ||
    starts.some((start) => what.includes(where.slice(start, start + telltaleChars)))
  );
}

function withoutQuotes(text: string): string {
  return text.replaceAll(/['"\\]/g, '');
}

function linesOf(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

function describeProblem(outcome: Outcome, timeoutMs: number): string | undefined {
  const { code, signal, complaint } = outcome;
  if (outcome.isTooLarge) return `prints more than ${maxSecretBytes} bytes`;
  if (outcome.isLate) return `has not ended within ${timeoutMs / 1000} s (${timeoutVariable})`;
  if (code === 0) return undefined;
  const end = code === null ? `was killed by ${signal}` : `failed with exit code ${code}`;
  return complaint === '' ? end : `${end}: ${complaint}`;
}

function killGroup({ pid }: SecretCommand): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // All of it has ended.
  }
}
