import type { ByteStream } from '../core/byte-stream.ts';
import { startClientProcess, type ClientProcess } from './client-process.ts';
import type { ClientTool } from './client-tools.ts';
import type { Connection } from './connection.ts';
import type { CompletionCheck } from './dump-completion.ts';
import { openDataPipe, type DataPipe } from './data-pipe.ts';
import { hasSucceeded, toBrokenPromise, toToolFailure } from './tool-failure.ts';

export interface StartDumpOptions {
  readonly signal?: AbortSignal | undefined;
  /** Between SIGTERM and SIGKILL; 5 seconds by default. */
  readonly graceMs?: number | undefined;
}

/** What writes a dump to its stdout. */
export interface DumpProgram {
  readonly tool: ClientTool;
  readonly args: readonly string[];
  readonly connection: Connection;
  /** What it reads from its stdin; nothing by default. */
  readonly input?: string | undefined;
  /** Tells whether what it wrote is whole. */
  readonly check: CompletionCheck;
  /** It cancels its query at SIGINT, and not at SIGTERM. */
  readonly interruptFirst?: boolean;
}

/** A running program that dumps. Dispose ends it if it still runs. */
export interface DumpProcess extends AsyncDisposable {
  /**
   * The dump, to be read once. Ends only when the program exited with 0 and the dump is whole by its own marks;
   * otherwise throws `postgres` with what it said, or the signal's reason. When the reader stops early, it is ended.
   */
  readonly output: ByteStream;
  /** What the program warned of so far. */
  readonly warnings: readonly string[];
}

/**
 * Starts a program that dumps. When the signal aborts, it is told to cancel its query and to end (SIGTERM), and is killed
 * when it does not; `output` throws when it is gone.
 */
export function startDump(program: DumpProgram, options: StartDumpOptions = {}): DumpProcess {
  const { tool, args, connection, input, check, interruptFirst } = program;
  const { signal } = options;
  using opened = new DisposableStack();
  const pipe = opened.use(openDataPipe());
  const stdout = { stdoutTo: pipe?.writeEnd, isOutputLarge: true };
  const withStdin = input !== undefined;
  const client = startClientProcess(tool, { args, connection, withStdin, interruptFirst, ...stdout, ...options });
  if (withStdin) client.stdin.end(input);
  pipe?.closeWriteEnd();
  opened.move();
  const end = async (): Promise<void> => {
    await client.terminate();
    pipe?.[Symbol.dispose]();
  };
  const onAbort = (): void => void end();
  signal?.addEventListener('abort', onAbort, { once: true });
  void client.exited.then(() => signal?.removeEventListener('abort', onAbort));
  return {
    output: readDump({ client, pipe, check, end }, signal),
    get warnings() {
      return client.stderr.warnings;
    },
    [Symbol.asyncDispose]: end,
  };
}

interface Dump {
  readonly client: ClientProcess;
  readonly pipe: DataPipe | null;
  readonly check: CompletionCheck;
  /** Ends the child, and closes the pipe, which somebody that the child left behind may hold open. */
  readonly end: () => Promise<void>;
}

async function* readDump({ client, pipe, check, end }: Dump, signal: AbortSignal | undefined): ByteStream {
  try {
    for await (const chunk of pipe?.output ?? (client.stdout as AsyncIterable<Buffer>)) {
      check.add(chunk);
      yield chunk;
    }
    const exit = await client.exited;
    signal?.throwIfAborted();
    if (!hasSucceeded(exit)) throw toToolFailure(client, exit);
    const problem = check.problem();
    if (problem !== null) throw toBrokenPromise(client, problem);
  } catch (error) {
    // What the end of the child does to its pipes is not the reason.
    throw signal?.aborted === true ? signal.reason : error;
  } finally {
    await end();
  }
}
