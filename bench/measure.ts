import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const gnuTime = '/usr/bin/time';
/** Unit of `ru_oublock` in getrusage(2). */
const blockBytes = 512;
const hook = join(import.meta.dirname, 'peak-memory-hook.cjs');

/** A program to run, directly or through a shell. */
export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  /** Our own Node process: its memory is told apart from that of the tools it starts. */
  readonly isOurs: boolean;
}

export interface Measurement {
  readonly wallMs: number;
  /** User and system time of the process and all that it started and waited for; the PostgreSQL server is not among them. */
  readonly cpuMs: number;
  /** Highest resident memory: of our own process, or of the largest single process of a pipe. */
  readonly peakMemoryBytes: number;
  /** What the same processes wrote to disks, as the kernel counts it by pages: deleted files too, a tmpfs not. */
  readonly writtenBytes: number;
}

/** A pipe in bash that fails when any member fails. */
export function pipe(script: string): Command {
  return { program: 'bash', args: ['-c', `set -euo pipefail; ${script}`], isOurs: false };
}

export interface MeasureContext {
  readonly env: Readonly<Record<string, string>>;
  /** Folder for the files that carry the figures. */
  readonly folder: string;
}

/** Runs a command to its end, with nothing read from its standard output. Throws when it fails. */
export async function measure(command: Command, context: MeasureContext): Promise<Measurement> {
  if (!existsSync(gnuTime)) throw new Error(`${gnuTime} is needed: install the package "time"`);
  const timeFile = join(context.folder, 'time.txt');
  const peakFile = join(context.folder, 'peak-memory.txt');
  rmSync(peakFile, { force: true });
  const state = { XDG_STATE_HOME: join(context.folder, 'state') };
  const ours = { NODE_OPTIONS: `--require=${hook}`, BENCH_PEAK_MEMORY_FILE: peakFile, ...state };
  const env = { ...process.env, ...context.env, ...(command.isOurs ? ours : {}) };
  const args = ['--format=%U %S %M %O', `--output=${timeFile}`, command.program, ...command.args];
  const startedAt = performance.now();
  await runToEnd(args, env);
  const wallMs = performance.now() - startedAt;
  const [userSeconds = 0, systemSeconds = 0, largestKb = 0, writtenBlocks = 0] = readNumbers(timeFile);
  const peakMemoryBytes = command.isOurs ? Math.max(...readNumbers(peakFile)) : largestKb * 1024;
  const cpuMs = (userSeconds + systemSeconds) * 1000;
  return { wallMs, cpuMs, peakMemoryBytes, writtenBytes: writtenBlocks * blockBytes };
}

async function runToEnd(args: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const child = spawn(gnuTime, [...args], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  const messages: Buffer[] = [];
  child.stderr.on('data', (chunk: Buffer) => messages.push(chunk));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code === 0) return;
  throw new Error(`${args.slice(2).join(' ')} failed: ${Buffer.concat(messages).toString().slice(-2000)}`);
}

function readNumbers(path: string): number[] {
  return readFileSync(path, 'utf8').trim().split(/\s+/).map(Number);
}
