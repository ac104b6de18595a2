import { BackupError } from '../core/backup-error.ts';
import type { ClientExit, ClientProcess } from './client-process.ts';
import { hintFor } from './server-hints.ts';

const maxSummaryChars = 800;
const maxSummaryLines = 6;

export function hasSucceeded(exit: ClientExit): boolean {
  return exit.code === 0;
}

/** The error for a client program that has ended without success, with the end of what it wrote to stderr. */
export function toToolFailure(client: ClientProcess, exit: ClientExit): BackupError {
  const { tool, stderr } = client;
  if (exit.startError !== undefined) {
    return new BackupError('postgres', `cannot start "${tool.path}"`, { cause: exit.startError });
  }
  const summary = summarize(tool.name, stderr.lines);
  const ending = exit.signal === null ? `exit code ${exit.code}` : `killed by ${exit.signal}`;
  return new BackupError('postgres', `${tool.name} failed (${ending})${summary === '' ? '' : `: ${summary}`}`, {
    hint: hintFor(stderr.lines.join('\n')),
  });
}

/** The error for a client program whose exit code is 0 although it did not do its work. */
export function toBrokenPromise(client: ClientProcess, problem: string): BackupError {
  const summary = summarize(client.tool.name, client.stderr.lines);
  return new BackupError('postgres', `${client.tool.name} ${problem}${summary === '' ? '' : `: ${summary}`}`, {
    hint: hintFor(problem),
  });
}

/** From the first error on, or else the last lines, as one line. */
function summarize(name: string, lines: readonly string[]): string {
  const firstError = lines.findIndex((line) => /\b(error|fatal|panic):/i.test(line));
  const chosen = firstError === -1 ? lines.slice(-3) : lines.slice(firstError, firstError + maxSummaryLines);
  const text = chosen.map((line) => line.replace(`${name}: error: `, '').replace(`${name}: `, '').trim()).join('; ');
  return text.slice(0, maxSummaryChars).replace(/\.$/, '');
}
