import { CommanderError } from 'commander';
import { BackupError, describeError, errorKinds } from '../core/backup-error.ts';

/** Anything thrown as an error to report; what is not ours is a bug, shown with its stack. */
export function toReportable(failure: unknown): BackupError {
  if (failure instanceof BackupError) return failure;
  if (failure instanceof CommanderError) return toUsageError(failure);
  const detail = failure instanceof Error ? (failure.stack ?? failure.message) : describeError(failure);
  return new BackupError('bug', `unexpected error: ${detail}`, {
    hint: 'Report this as a bug, with the text above.',
    cause: failure,
  });
}

/** commander writes `error: sentence.`, sometimes with a suggestion on a second line. */
function toUsageError({ message }: CommanderError): BackupError {
  const text = message
    .replace(/^error: /, '')
    .replaceAll('\n', ' ')
    .replace(/\.$/, '');
  return new BackupError('usage', text, { hint: 'See what can be given with --help.' });
}

/** The table of exit codes for every command's help. */
export function describeExitCodes(): string {
  const failures = Object.values(errorKinds).map(({ exitCode, meaning }) => [exitCode, meaning] as const);
  const rows = [[0, 'success'] as const, ...failures].toSorted(([a], [b]) => a - b);
  const lines = rows.map(([code, meaning]) => `  ${String(code).padEnd(4)} ${meaning}`);
  return `\nExit codes:\n${lines.join('\n')}`;
}
