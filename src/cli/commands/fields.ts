import { addAbortSignal } from 'node:stream';
import { Command } from 'commander';
import { audited } from '../../backup/audited.ts';
import { BackupError, toBackupError } from '../../core/backup-error.ts';
import type { ByteStream } from '../../core/byte-stream.ts';
import { parseDuration } from '../../core/duration.ts';
import type { FieldAction } from '../../fields/convert-fields.ts';
import type { CommandContext } from '../context.ts';
import type { Output } from '../output/output.ts';
import { addOptions, type AuditOptions, type CommonOptions } from '../option-groups.ts';
import { listOption, option } from '../options.ts';
import { runWith } from '../run-command.ts';

interface FieldsOptions extends CommonOptions, AuditOptions {
  readonly key: readonly string[];
  readonly context: string;
  readonly field?: readonly string[];
  readonly fernetKey?: readonly string[];
  readonly fernetTtl?: number;
}

const descriptions = {
  encrypt: 'replace every line of standard input by its token',
  decrypt: 'replace every token by its value',
  rotate: 'replace every token that the active key did not make by one that it makes',
} as const satisfies Record<FieldAction, string>;

export function fieldsCommand(output: Output): Command {
  return new Command('fields')
    .addCommand(convertCommand('encrypt', output))
    .addCommand(convertCommand('decrypt', output))
    .addCommand(convertCommand('rotate', output));
}

function convertCommand(action: FieldAction, output: Output): Command {
  const command = new Command(action)
    .description(descriptions[action])
    .addOption(listOption('--key <ref>', 'keyring or key; the first one encrypts').makeOptionMandatory())
    .addOption(option('--context <text>', 'what the values belong to, such as users.email').makeOptionMandatory())
    .addOption(listOption('--field <name>', 'lines are JSON objects: take this field, with the context CONTEXT.NAME'));
  if (action !== 'encrypt') {
    command
      .addOption(listOption('--fernet-key <ref>', 'key of Fernet tokens'))
      .addOption(option('--fernet-ttl <duration>', 'refuse older Fernet tokens, such as 30d').argParser(parseTtl));
  }
  addOptions(command, 'audit', 'common');
  return runWith<FieldsOptions>(
    { command, output },
    async (options, context) => await convert(action, options, context),
  );
}

/** In seconds, of which Fernet knows no part. */
function parseTtl(text: string): number {
  return Math.floor(parseDuration(text) / 1000);
}

async function convert(action: FieldAction, options: FieldsOptions, context: CommandContext): Promise<void> {
  const { openFieldKeyring } = await import('../../fields/field-keyring.ts');
  const { createFieldConverter } = await import('../../fields/convert-fields.ts');
  const { convertLines } = await import('../../fields/convert-lines.ts');
  const { redactReference } = await import('../../keys/secret-reference.ts');
  context.output.refuseSharing();
  using keyring = await audited({ action: 'key-access', context }, async (subject) => {
    const sources = [...options.key, ...(options.fernetKey ?? [])].map(redactReference);
    subject.key = { source: sources.join(' '), purpose: `fields-${action}` };
    return await openFieldKeyring({ keys: options.key, fernetKeys: options.fernetKey ?? [] }, context);
  });
  for (const warning of keyring.warnings) context.log.warn({}, warning);
  context.output.reserveStdout();
  const converter = createFieldConverter({
    action,
    keyring,
    options: { context: options.context, fernetTtlSeconds: options.fernetTtl, now: context.now() },
    fields: [...new Set(options.field)],
  });
  for await (const bytes of convertLines(readInput(context), converter.convert)) await writeOutput(bytes, context);
  const values = converter.changed();
  context.log.info({}, `${pastTense[action]} ${values} ${values === 1 ? 'value' : 'values'}`);
}

const pastTense = {
  encrypt: 'encrypted',
  decrypt: 'decrypted',
  rotate: 'encrypted anew',
} as const satisfies Record<FieldAction, string>;

async function* readInput({ signal }: CommandContext): ByteStream {
  try {
    yield* addAbortSignal(signal, process.stdin) as AsyncIterable<Buffer>;
  } catch (error) {
    signal.throwIfAborted();
    throw toBackupError(error, 'storage', 'cannot read standard input');
  }
}

/** Settles when standard output has taken the bytes, or at an interruption: a reader may take nothing more. */
async function writeOutput(bytes: Uint8Array, { output, signal }: CommandContext): Promise<void> {
  signal.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    output.streams.stdout.write(bytes, (error) => {
      signal.removeEventListener('abort', onAbort);
      if (error) reject(toOutputError(error));
      else resolve();
    });
  });
}

function toOutputError(error: Error): BackupError {
  if ('code' in error && error.code === 'EPIPE') {
    return new BackupError('storage', 'standard output was closed', { cause: error });
  }
  return toBackupError(error, 'storage', 'cannot write to standard output');
}
