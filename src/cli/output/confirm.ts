import { createInterface } from 'node:readline/promises';
import { BackupError } from '../../core/backup-error.ts';

/** Asks before something is destroyed. Without a terminal to ask on, only `--yes` is a yes. Errors: `usage`. */
export async function confirm(question: string, isSure: boolean): Promise<void> {
  if (isSure) return;
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new BackupError('usage', 'nobody is there to confirm', { hint: 'Say --yes.' });
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await terminal.question(`${question} Type yes: `);
  terminal.close();
  if (answer.trim() !== 'yes') throw new BackupError('usage', 'not confirmed: nothing was done');
}
