import { Command, type Option } from 'commander';
import { productName, productVersion } from '../core/version.ts';
import { auditCommand } from './commands/audit.ts';
import { createCommand } from './commands/create.ts';
import { decryptCommand } from './commands/decrypt.ts';
import { deleteCommand } from './commands/delete.ts';
import { fieldsCommand } from './commands/fields.ts';
import { keysCommand } from './commands/keys.ts';
import { listCommand } from './commands/list.ts';
import { restoreCommand } from './commands/restore.ts';
import { showCommand } from './commands/show.ts';
import { verifyCommand } from './commands/verify.ts';
import { describeExitCodes } from './failure.ts';
import type { Output } from './output/output.ts';

/** The one list of commands. Each imports what it works with only when it runs: help and version stay instant. */
const commands = [
  createCommand,
  restoreCommand,
  listCommand,
  showCommand,
  verifyCommand,
  deleteCommand,
  decryptCommand,
  keysCommand,
  fieldsCommand,
  auditCommand,
] as const;

export function createProgram(output: Output): Command {
  const program = new Command(productName)
    .description('encrypted logical PostgreSQL backups, and restores that cannot lie')
    .version(productVersion);
  for (const define of commands) program.addCommand(define(output));
  prepare(program);
  return program;
}

/** What every command and subcommand has: no exit of its own, short help, and the exit codes at its end. */
function prepare(command: Command): void {
  command
    .exitOverride()
    // Its errors are thrown, and reported like all others.
    .configureOutput({ outputError: () => {} })
    .configureHelp({ optionDescription: describeOption })
    .addHelpText('after', `${environmentHelp}${describeExitCodes()}`)
    .allowExcessArguments(false);
  for (const subcommand of command.commands) prepare(subcommand);
}

const environmentHelp = `
Every option can be set in the environment too, --s3-region as LIBRELOG_BACKUP_S3_REGION; repeatable ones
separated by commas. An option counts before the environment, the environment before the --config file.
`;

/** The variable of each option follows one rule, which is said once. */
function describeOption({ description, argChoices, defaultValue, mandatory }: Option): string {
  const notes = [
    ...(argChoices === undefined ? [] : [argChoices.join(', ')]),
    ...(typeof defaultValue === 'string' || typeof defaultValue === 'number' ? [`default: ${defaultValue}`] : []),
    ...(mandatory ? ['required'] : []),
  ];
  return notes.length === 0 ? description : `${description} (${notes.join('; ')})`;
}
