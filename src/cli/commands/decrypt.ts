import { Command } from 'commander';
import { audited } from '../../backup/audited.ts';
import { formatBytes } from '../output/format.ts';
import type { Output } from '../output/output.ts';
import { addOptions, type AuditOptions, type CommonOptions, type KeyOptions } from '../option-groups.ts';
import { option } from '../options.ts';
import { runWith, toDecryptionRequest } from '../run-command.ts';
import { writeArchive } from '../write-archive.ts';

interface DecryptOptions extends CommonOptions, AuditOptions, KeyOptions {
  readonly output: string;
}

export function decryptCommand(output: Output): Command {
  const command = new Command('decrypt')
    .argument('<file>', 'the encrypted file')
    .addOption(option('-o, --output <file>', 'where the dump goes, or - for standard output').makeOptionMandatory());
  addOptions(command, 'keys', 'audit', 'common');
  return runWith<DecryptOptions>({ command, output }, async (options, context, args) => {
    const [path = ''] = args;
    const { openForeignArchive } = await import('../../backup/foreign-archive.ts');
    if (options.output === '-') context.output.refuseSharing();
    const { plainBytes } = await audited({ action: 'decrypt', context }, async (subject) => {
      subject.backup = { store: path };
      const archive = await openForeignArchive(path, toDecryptionRequest(options), context);
      return await writeArchive(archive, options.output, context);
    });
    if (options.output === '-') return;
    context.output.result(
      { output: options.output, plainBytes },
      `decrypted ${formatBytes(plainBytes)} to ${options.output}`,
    );
  });
}
