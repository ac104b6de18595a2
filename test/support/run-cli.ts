import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { childrenOf } from './child-processes.ts';
import { waitUntil } from './wait-until.ts';

const root = join(import.meta.dirname, '..', '..');
const launcher = join(root, 'bin', 'librelog-backup.js');
const recorder = join(root, 'test', 'tools', 'record-children.mjs');

/** What a run of the built command line came to. */
export interface CliRun {
  /** `null`: a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Arguments and environment of every child, as it was given them. */
  readonly children: string;
}

export interface CliOptions {
  /** The whole environment: nothing of ours is handed on. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** For stdin, which is empty otherwise. */
  readonly input?: string | undefined;
  /** Command in front of the program, such as `setpriv …`; it must end by `exec`. */
  readonly wrapper?: readonly string[] | undefined;
  /** Open file for stdout instead of a pipe to us. */
  readonly stdout?: number | undefined;
}

/** A run that is still going on, with all its children in a process group of its own. */
export interface RunningCli {
  readonly pid: number;
  readonly child: ChildProcess;
  /** Settles when the program and every process it has started are gone; fails when one of them stays. */
  readonly ended: Promise<CliRun>;
  /** Sends a signal to the program alone, as `kill PID` does. */
  kill(signal: NodeJS.Signals): void;
  /** Process ids of the children that run now. */
  children(): number[];
}

/** Runs the built command line to its end, as a cron job does: no terminal, and the environment given. */
export async function runCli(args: readonly string[], options: CliOptions): Promise<CliRun> {
  return await startCli(args, options).ended;
}

export function startCli(args: readonly string[], options: CliOptions): RunningCli {
  if (!existsSync(join(root, 'dist', 'cli', 'main.js'))) throw new Error('dist is missing: run `npm run build` first');
  const program = [process.execPath, '--import', recorder, launcher];
  const [command = '', ...rest] = [...(options.wrapper ?? []), ...program, ...args];
  const child = spawn(command, rest, {
    cwd: options.cwd,
    env: { ...options.env },
    stdio: [options.input === undefined ? 'ignore' : 'pipe', options.stdout ?? 'pipe', 'pipe', 'pipe'],
    detached: true,
  });
  child.stdin?.on('error', () => {}); // the program may not want it
  child.stdin?.end(options.input);
  const pid = child.pid;
  if (pid === undefined) throw new Error(`cannot start ${command}`);
  endWithUs(pid, child);
  return {
    pid,
    child,
    ended: watch(pid, child),
    kill: (signal) => void child.kill(signal),
    children: () => childrenOf(pid),
  };
}

/** No story takes this long; a program that hangs is a failure that must be seen. */
const runTimeoutMs = 60_000;

async function watch(pid: number, child: ChildProcess): Promise<CliRun> {
  const timer = setTimeout(() => killGroup(pid), runTimeoutMs);
  const [stdout, stderr, children, [code, signal]] = await Promise.all([
    readText(child.stdout),
    readText(child.stderr),
    readText(child.stdio[3] as Readable),
    once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>,
  ]);
  clearTimeout(timer);
  await waitUntil(() => !isGroupAlive(pid), `no process that the run (${pid}) has started is left`);
  return { code, signal, stdout, stderr, children };
}

async function readText(stream: Readable | null): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of (stream ?? []) as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

function isGroupAlive(pid: number): boolean {
  try {
    process.kill(-pid, 0);
    return true;
  } catch {
    return false;
  }
}

function killGroup(pid: number): void {
  if (isGroupAlive(pid)) process.kill(-pid, 'SIGKILL');
}

/** In a process group of its own, it would not get the Ctrl-C that ends us. */
function endWithUs(pid: number, child: ChildProcess): void {
  const kill = () => killGroup(pid);
  process.once('exit', kill);
  child.once('exit', () => process.off('exit', kill));
}
