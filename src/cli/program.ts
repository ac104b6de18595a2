import { Command, type Option } from 'commander';
import { productName, productVersion } from '../core/version.ts';
import { describeExitCodes } from './failure.ts';
import type { Output } from './output/output.ts';

interface CommandEntry {
  readonly description: string;
  readonly load: () => Promise<(output: Output) => Command>;
}

/** The one list of commands. Each imports what it works with only when it runs: help and version stay instant. */
const commands: Readonly<Record<string, CommandEntry>> = {
  create: {
    description: 'back up one or more databases',
    load: async () => (await import('./commands/create.ts')).createCommand,
  },
  restore: {
    description: 'bring a database back',
    load: async () => (await import('./commands/restore.ts')).restoreCommand,
  },
  list: {
    description: 'list the backups in a store, oldest first',
    load: async () => (await import('./commands/list.ts')).listCommand,
  },
  show: {
    description: 'show everything that is known of a backup',
    load: async () => (await import('./commands/show.ts')).showCommand,
  },
  verify: {
    description: 'prove that a backup is whole, by reading what the store has now',
    load: async () => (await import('./commands/verify.ts')).verifyCommand,
  },
  delete: {
    description: 'delete one backup for good',
    load: async () => (await import('./commands/delete.ts')).deleteCommand,
  },
  decrypt: {
    description: 'open one stored object, or a file of an old script, without a store',
    load: async () => (await import('./commands/decrypt.ts')).decryptCommand,
  },
  keys: {
    description: 'make and look after keys',
    load: async () => (await import('./commands/keys.ts')).keysCommand,
  },
  fields: {
    description: 'encrypt single values, line by line from standard input to standard output',
    load: async () => (await import('./commands/fields.ts')).fieldsCommand,
  },
  audit: {
    description: 'read the record of what was done with keys and backups',
    load: async () => (await import('./commands/audit.ts')).auditCommand,
  },
};

/** The program with all its commands, of which only those are more than a name and a line that `argv` mentions. */
export async function createProgram(output: Output, argv: readonly string[]): Promise<Command> {
  const program = new Command(productName)
    .description('encrypted logical PostgreSQL backups, and restores that cannot lie')
    .version(productVersion);
  for (const [name, { description, load }] of Object.entries(commands)) {
    const command = argv.includes(name) ? (await load())(output) : new Command(name);
    program.addCommand(command.description(description));
  }
  prepare(program);
  return program;
}

/** What every command and subcommand has: no exit of its own, short help, and the exit codes at its end. */
function prepare(command: Command): void {
  command
    .exitOverride()
    // Its errors are thrown, and reported like all others.
    .configureOutput({ outputError: () => {} })
    .configureHelp({ optionDescription: describeOption, subcommandTerm: (subcommand) => subcommand.name() })
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
