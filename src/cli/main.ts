import { CommanderError } from 'commander';
import { errorKinds } from '../core/backup-error.ts';
import { toReportable } from './failure.ts';
import { isOff } from './options.ts';
import { hideWarnings } from './output/hide-warnings.ts';
import { Output } from './output/output.ts';
import { createProgram } from './program.ts';

/**
 * Runs the command line and leaves its exit code in `process.exitCode`, which the entry point set to failure: only a
 * command that ran to its end makes it 0.
 */
export async function main(argv: readonly string[]): Promise<void> {
  // Google's library warns when it finds no metadata server; that there are no credentials then is an error of ours.
  hideWarnings(['MetadataLookupWarning']);
  const output = new Output({ stdout: process.stdout, stderr: process.stderr });
  // Until the command line is understood; the command itself knows better.
  output.useJson(argv.includes('--json') || !isOff(process.env['LIBRELOG_BACKUP_JSON']));
  try {
    const program = await createProgram(output, argv);
    await program.parseAsync(argv);
    await output.finish();
    process.exitCode = 0;
  } catch (error) {
    process.exitCode = isHelp(error) ? exitCodeOfHelp(error, argv) : report(error, output);
  }
}

function isHelp(failure: unknown): failure is CommanderError {
  return failure instanceof CommanderError && (failure.exitCode === 0 || failure.code === 'commander.help');
}

/** Help and version that were asked for are no failures; help in place of a missing command is. */
function exitCodeOfHelp({ code }: CommanderError, argv: readonly string[]): number {
  return code !== 'commander.help' || argv.includes('help') ? 0 : errorKinds.usage.exitCode;
}

function report(failure: unknown, output: Output): number {
  const error = toReportable(failure);
  output.failure(error);
  return errorKinds[error.kind].exitCode;
}
