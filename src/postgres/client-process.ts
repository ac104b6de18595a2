import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { Readable, type Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { BackupError } from '../core/backup-error.ts';
import { firstExtraDescriptor, openClientAccess, secretTexts, type ClientAccess } from './client-access.ts';
import { clientEnvironment } from './client-environment.ts';
import { ClientStderr } from './client-stderr.ts';
import type { ClientTool } from './client-tools.ts';
import type { Connection } from './connection.ts';
import { openPrivateFile, type PrivateFile } from './private-file.ts';

/** How a client program ended. Both `null`: it could not be started, see `startError`. */
export interface ClientExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly startError?: Error;
}

export interface ClientFile {
  readonly content: string | Uint8Array;
  /** The argument that names it. */
  readonly argument: (path: string) => string;
}

export interface ClientProcessOptions {
  readonly args: readonly string[];
  /** Adds `--dbname`; the password goes another way. */
  readonly connection?: Connection;
  /** What the child reads as files of its own, named by its last arguments. */
  readonly files?: readonly ClientFile[];
  /** Without it stdin is empty. */
  readonly withStdin?: boolean;
  /** Open descriptor for stdout, whose `stdout` here is then empty. */
  readonly stdoutTo?: number | undefined;
  /** Has the child write its stdout in pieces of 64 KiB instead of the 4 KiB of the C library, where that can be had. */
  readonly isOutputLarge?: boolean;
  /** Terminates the child. */
  readonly signal?: AbortSignal | undefined;
  /** Between SIGTERM and SIGKILL. */
  readonly graceMs?: number | undefined;
  /** Sends SIGINT a moment before SIGTERM: at that, psql has the server cancel its query. */
  readonly interruptFirst?: boolean | undefined;
}

const defaultGraceMs = 5_000;
/** A process that the child left behind may hold stderr open for ever. */
const stderrAfterExitMs = 500;
/** Enough to connect to the server once more and ask; a child that cannot write its output only ends by the next signal. */
const interruptMs = 1_000;

interface ClientTraits {
  readonly secrets: readonly string[];
  readonly graceMs: number;
  readonly interruptFirst: boolean;
  readonly hasOwnStdout: boolean;
}

/**
 * A running client program. Its stdin is never closed by us except by `stdin.end()` and after its death: to psql, the
 * end of its input is a sign to finish what it has.
 */
export class ClientProcess {
  readonly tool: ClientTool;
  readonly stderr: ClientStderr;
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** Settles, and never fails, when the child is gone and its stderr was read. */
  readonly exited: Promise<ClientExit>;
  readonly #child: ChildProcess;
  readonly #graceMs: number;
  readonly #interruptFirst: boolean;
  #exit: ClientExit | undefined;
  #ending: Promise<void> | undefined;

  constructor(tool: ClientTool, child: ChildProcess, traits: ClientTraits) {
    const { stdin, stderr } = child;
    const stdout = traits.hasOwnStdout ? Readable.from([]) : child.stdout;
    // Without free descriptors a child gets no pipes.
    if (!stdin || !stdout || !stderr)
      throw new BackupError('postgres', `cannot start "${tool.path}": no free descriptors`);
    this.tool = tool;
    this.#child = child;
    this.#graceMs = traits.graceMs;
    this.#interruptFirst = traits.interruptFirst;
    this.stdin = stdin;
    this.stdout = stdout;
    this.stderr = new ClientStderr(stderr, traits.secrets);
    // A child that no longer reads is reported by its exit status; whoever reads or writes sees the error as well.
    for (const pipe of [stdin, stdout]) pipe.on('error', () => {});
    this.exited = this.#waitForExit();
  }

  get hasExited(): boolean {
    return this.#exit !== undefined;
  }

  /**
   * Ends the child - SIGTERM, then SIGKILL - and settles when it is gone; closes its pipes only then. Does nothing to a
   * child that has ended already.
   */
  async terminate(): Promise<void> {
    if (this.#exit === undefined) {
      this.#ending ??= this.#end();
      await this.#ending;
    }
    this.stdin.destroy();
    this.stdout.destroy();
  }

  async #end(): Promise<void> {
    const steps = [
      ...(this.#interruptFirst ? [{ signal: 'SIGINT', waitMs: interruptMs } as const] : []),
      { signal: 'SIGTERM', waitMs: this.#graceMs } as const,
    ];
    for (const { signal, waitMs } of steps) {
      this.#child.kill(signal);
      if (await this.#exitsWithin(waitMs)) return;
    }
    this.#child.kill('SIGKILL');
    await this.exited;
  }

  async #exitsWithin(waitMs: number): Promise<boolean> {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, waitMs);
    await Promise.race([this.exited, late]);
    clearTimeout(timer);
    return this.hasExited;
  }

  async #waitForExit(): Promise<ClientExit> {
    this.#exit = await exitOf(this.#child);
    const timeout = new AbortController();
    await Promise.race([this.stderr.ended, sleep(stderrAfterExitMs, undefined, timeout).catch(() => {})]);
    timeout.abort();
    this.stderr.close();
    return this.#exit;
  }
}

/** Starts `tool` with the least it needs: its arguments, the way to the database, a small environment. */
export function startClientProcess(tool: ClientTool, options: ClientProcessOptions): ClientProcess {
  options.signal?.throwIfAborted();
  const { connection } = options;
  const access = connection === undefined ? null : openClientAccess(connection);
  const firstFree = firstExtraDescriptor + (access?.descriptors.length ?? 0);
  const files = openFiles(options.files ?? [], firstFree);
  const client = new ClientProcess(tool, spawnClient(tool, options, { access, files }), {
    secrets: connection === undefined ? [] : secretTexts(connection),
    graceMs: options.graceMs ?? defaultGraceMs,
    interruptFirst: options.interruptFirst ?? false,
    hasOwnStdout: options.stdoutTo !== undefined,
  });
  const terminate = () => void client.terminate();
  options.signal?.addEventListener('abort', terminate, { once: true });
  void cleanUp();
  return client;

  async function cleanUp(): Promise<void> {
    await client.exited;
    access?.[Symbol.dispose]();
    for (const { file } of files) file[Symbol.dispose]();
    options.signal?.removeEventListener('abort', terminate);
  }
}

interface OpenFile {
  readonly file: PrivateFile;
  readonly argument: string;
}

function openFiles(files: readonly ClientFile[], firstDescriptor: number): OpenFile[] {
  return files.map(({ content, argument }, index) => {
    const file = openPrivateFile(content, firstDescriptor + index);
    return { file, argument: argument(file.path) };
  });
}

interface ClientFiles {
  readonly access: ClientAccess | null;
  readonly files: readonly OpenFile[];
}

function spawnClient(tool: ClientTool, options: ClientProcessOptions, { access, files }: ClientFiles): ChildProcess {
  const args = [...options.args, ...optional(access?.argument), ...files.map(({ argument }) => argument)];
  const descriptors = [...(access?.descriptors ?? []), ...files.flatMap(({ file }) => optional(file.descriptor))];
  const [program = tool.path, ...before] = options.isOutputLarge === true ? withLargeOutput(tool.path) : [tool.path];
  const child = spawn(program, [...before, ...args], {
    env: { ...clientEnvironment(process.env), ...access?.env },
    stdio: ['pipe', options.stdoutTo ?? 'pipe', 'pipe', ...descriptors],
  });
  // Reported by exitOf, or by the lack of pipes.
  child.on('error', () => {});
  if (options.withStdin !== true) child.stdin?.end();
  return child;
}

function optional<Value>(value: Value | null | undefined): readonly Value[] {
  return value == null ? [] : [value];
}

/** Of GNU coreutils: sets the buffer of a program's stdout and becomes that program, with the same process id. */
const stdbuf = '/usr/bin/stdbuf';

/**
 * The command line that runs `path` with a large buffer for its stdout, or `path` alone where that cannot be had.
 * Measured on a dump of 1 GB through a pipe: 60,000 context switches become 7,000, and 0.6 s of 1.7 s of system time in
 * pg_dump and its reader go.
 */
function withLargeOutput(path: string): readonly string[] {
  // What cannot be started is reported by itself, not by stdbuf.
  return existsSync(stdbuf) && existsSync(path) ? [stdbuf, '--output=64K', path] : [path];
}

async function exitOf(child: ChildProcess): Promise<ClientExit> {
  try {
    const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
    return { code, signal };
  } catch (error) {
    return { code: null, signal: null, startError: error as Error };
  }
}
