import { createInterface } from 'node:readline/promises';
import { BackupError } from '../../core/backup-error.ts';

/**
 * Asks for the name of what is destroyed, so that nobody says yes by habit. `given` answers where there is no terminal.
 * Errors: `usage`.
 */
export async function confirmByName(question: string, name: string, given: string | undefined): Promise<void> {
  const answer = given ?? (await ask(`${question} Type ${name}: `, `Say --confirm ${name}.`));
  if (answer.trim() !== name) throw notConfirmed();
}

/** Asks before something is destroyed. Without a terminal to ask on, only `--yes` is a yes. Errors: `usage`. */
export async function confirm(question: string, isSure: boolean): Promise<void> {
  if (isSure) return;
  const answer = await ask(`${question} Type yes: `, 'Say --yes.');
  if (answer.trim() !== 'yes') throw notConfirmed();
}

async function ask(question: string, hint: string): Promise<string> {
  if (!process.stdin.isTTY || !process.stderr.isTTY)
    throw new BackupError('usage', 'nobody is there to confirm', { hint });
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await terminal.question(question);
  terminal.close();
  return answer;
}

function notConfirmed(): BackupError {
  return new BackupError('usage', 'not confirmed: nothing was done');
}
