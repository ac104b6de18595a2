import { Command } from 'commander';
import type { ExportedKey, KeyExport } from '../../backup/export-key.ts';
import { BackupError } from '../../core/backup-error.ts';
import type { Output } from '../output/output.ts';
import { addOptions, type AuditOptions, type CommonOptions } from '../option-groups.ts';
import { option } from '../options.ts';
import { runWith } from '../run-command.ts';

interface ExportOptions extends CommonOptions, AuditOptions {
  /** A configuration file has lists of keys. */
  readonly key?: string | readonly string[];
  readonly privateKey?: string | readonly string[];
  readonly output: string;
}

export function exportKeyCommand(output: Output): Command {
  const command = new Command('export')
    .description('write a recovery sheet: a key on paper, as text and as a QR code')
    .addOption(option('--key <ref>', 'AES-256 key; of a keyring the active one, or REF@KEYID'))
    .addOption(option('--private-key <ref>', 'or OpenPGP private key, which stays locked as it is'))
    .addOption(option('-o, --output <prefix>', 'writes PREFIX.txt, PREFIX.png and PREFIX.svg').makeOptionMandatory());
  addOptions(command, 'audit', 'common');
  return runWith<ExportOptions>({ command, output }, async (options, context) => {
    const { exportKey } = await import('../../backup/export-key.ts');
    const exported = await exportKey(toKeyExport(options), context);
    context.output.result(exported, describeExport(exported));
  });
}

function toKeyExport({ key = [], privateKey = [], output }: ExportOptions): KeyExport {
  if (output === '-' || output.endsWith('/')) {
    throw new BackupError('usage', `a recovery sheet is written to files, whose names cannot begin with "${output}"`, {
      hint: 'Give a path without an ending, such as --output recovery.',
    });
  }
  const methods = [
    ...[key].flat().map((reference) => ({ method: 'aes-256', reference }) as const),
    ...[privateKey].flat().map((reference) => ({ method: 'openpgp', reference }) as const),
  ];
  const [only, ...others] = methods;
  if (only === undefined || others.length > 0) {
    throw new BackupError('usage', `a recovery sheet is of one key, not of ${methods.length}`, {
      hint: 'Name it with --key or --private-key; settings of environment and configuration file count as well.',
    });
  }
  return { ...only, output };
}

function describeExport({ keyId, textPath, pngPath, svgPath, isLocked }: ExportedKey): string {
  return [
    `wrote the recovery sheet of key ${keyId} to ${textPath}`,
    pngPath === null || svgPath === null
      ? 'the key is too long for a QR code: there is only the text'
      : `wrote its QR code to ${pngPath} and ${svgPath}`,
    ...(isLocked ? ['keep the passphrase of the key elsewhere: it is not on the sheet'] : []),
    'print them, put the paper into a safe, and delete the files',
  ].join('\n');
}
