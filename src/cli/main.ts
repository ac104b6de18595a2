import { CommanderError } from 'commander';
import { errorKinds } from '../core/backup-error.ts';
import { toReportable } from './failure.ts';
import { Output } from './output/output.ts';
import { createProgram } from './program.ts';

/**
 * Runs the command line and leaves its exit code in `process.exitCode`, which the entry point set to failure: only a
 * command that ran to its end makes it 0.
 */
export async function main(argv: readonly string[]): Promise<void> {
  ignoreClosedOutput();
  const output = new Output({ stdout: process.stdout, stderr: process.stderr });
  try {
    await createProgram(output).parseAsync(argv);
    process.exitCode = 0;
  } catch (error) {
    process.exitCode = report(error, output);
  }
}

function report(failure: unknown, output: Output): number {
  // commander has printed its own message; help and version that were asked for are no failures.
  if (failure instanceof CommanderError) return failure.exitCode === 0 ? 0 : errorKinds.usage.exitCode;
  const error = toReportable(failure);
  output.failure(error);
  return errorKinds[error.kind].exitCode;
}

/** `… list | head -1` closes our output before we are done; that is its right. Writers of data look at it themselves. */
function ignoreClosedOutput(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }
}
