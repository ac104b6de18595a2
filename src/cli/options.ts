import { InvalidArgumentError, Option } from 'commander';
import { BackupError } from '../core/backup-error.ts';

/**
 * Every option can be set as `LIBRELOG_BACKUP_<NAME>` too; lists there are separated by commas, and an empty variable
 * counts as not set.
 */
export function option(flags: string, description: string): Option {
  const created = new Option(flags, description);
  const variable = `LIBRELOG_BACKUP_${created.name().replaceAll('-', '_').toUpperCase()}`;
  return process.env[variable] === '' ? created : created.env(variable);
}

/** Whether the text of a variable turns a flag off. */
export function isOff(text: string | undefined): boolean {
  return text === undefined || ['', '0', 'false', 'no', 'off'].includes(text.toLowerCase());
}

/** An option that may be given several times. */
export function listOption(flags: string, description: string): Option {
  const created = option(flags, `${description} (repeatable)`);
  created.argParser((value: string, previous: readonly string[] | undefined) => [...(previous ?? []), value]);
  return created;
}

/** The one key of an option: environment and configuration file may have a list. Errors: `usage`. */
export function onlyKey(key: string | readonly string[] = []): string {
  const [only, ...others] = [key].flat();
  if (only !== undefined && others.length === 0) return only;
  const given = only === undefined ? 'no key' : 'several keys';
  throw new BackupError('usage', `${given} given, and this command works on one`, {
    hint: 'Say which one with --key REFERENCE.',
  });
}

/** How many streams may run side by side: each is a connection to the server and a process here. */
const maxJobs = 64;

export function parseJobs(text: string): number {
  const jobs = parseCount(text);
  if (jobs < 1 || jobs > maxJobs) throw new InvalidArgumentError(`It must be from 1 to ${maxJobs}.`);
  return jobs;
}

export function parseCount(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}
