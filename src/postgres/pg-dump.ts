import type { ByteStream } from '../core/byte-stream.ts';
import { startClientProcess, type ClientProcess } from './client-process.ts';
import type { ClientTool } from './client-tools.ts';
import type { Connection } from './connection.ts';
import { createCompletionCheck } from './dump-completion.ts';
import { openDataPipe, type DataPipe } from './data-pipe.ts';
import type { DumpPlan } from './dump-plan.ts';
import { hasSucceeded, toBrokenPromise, toToolFailure } from './tool-failure.ts';

export interface StartPgDumpOptions {
  readonly signal?: AbortSignal | undefined;
  /** Between SIGTERM and SIGKILL; 5 seconds by default. */
  readonly graceMs?: number | undefined;
}

/** A running pg_dump. Dispose ends it if it still runs. */
export interface PgDumpProcess extends AsyncDisposable {
  /**
   * The dump, to be read once. Ends only when pg_dump exited with 0 and the dump is whole by its own marks; otherwise
   * throws `postgres` with what pg_dump said, or the signal's reason. When the reader stops early, pg_dump is ended.
   */
  readonly output: ByteStream;
  /** What pg_dump warned of so far. */
  readonly warnings: readonly string[];
}

/**
 * Starts pg_dump. When the signal aborts, pg_dump is told to cancel its query and to end (SIGTERM), and is killed when
 * it does not; `output` throws when it is gone.
 */
export function startPgDump(
  run: { readonly tool: ClientTool; readonly plan: DumpPlan; readonly connection: Connection },
  options: StartPgDumpOptions = {},
): PgDumpProcess {
  const { tool, plan, connection } = run;
  const { signal } = options;
  using opened = new DisposableStack();
  const pipe = opened.use(openDataPipe());
  const stdout = { stdoutTo: pipe?.writeEnd, isOutputLarge: true };
  const client = startClientProcess(tool, { args: plan.args, connection, ...stdout, ...options });
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
    output: readDump({ client, pipe, plan, end }, signal),
    get warnings() {
      return client.stderr.warnings;
    },
    [Symbol.asyncDispose]: end,
  };
}

interface Dump {
  readonly client: ClientProcess;
  readonly pipe: DataPipe | null;
  readonly plan: DumpPlan;
  /** Ends the child, and closes the pipe, which somebody that the child left behind may hold open. */
  readonly end: () => Promise<void>;
}

async function* readDump({ client, pipe, plan, end }: Dump, signal: AbortSignal | undefined): ByteStream {
  const check = createCompletionCheck(plan.format);
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
