import { Command } from 'commander';
import { BackupError } from '../../core/backup-error.ts';
import type { CommandContext } from '../context.ts';
import type { Output } from '../output/output.ts';
import { addOptions, type AuditOptions, type CommonOptions } from '../option-groups.ts';
import { option, parseCount } from '../options.ts';
import { runWith } from '../run-command.ts';

export function generateKeysCommand(output: Output): Command {
  return new Command('generate')
    .description('make a new key')
    .addCommand(generateAesCommand(output))
    .addCommand(generateOpenPgpCommand(output));
}

interface GenerateAesOptions extends CommonOptions, AuditOptions {
  readonly output?: string;
  readonly toKey?: string;
}

function generateAesCommand(output: Output): Command {
  const command = new Command('aes-256')
    .description('make an AES-256 key, in a file that only its owner can read or where a reference says')
    .addOption(option('-o, --output <file>', 'path of the new key file'))
    .addOption(option('--to-key <ref>', 'or where the new key is to be kept, such as vault:kv/backup#key'));
  addOptions(command, 'audit', 'common');
  return runWith<GenerateAesOptions>({ command, output }, generateAes);
}

async function generateAes(options: GenerateAesOptions, context: CommandContext): Promise<void> {
  const { output: path } = options;
  if ((path === undefined) === (options.toKey === undefined)) {
    throw new BackupError('usage', 'it is not clear where the key is to be kept', {
      hint: 'Say either --output FILE or --to-key REFERENCE.',
    });
  }
  const { generateKey } = await import('../../backup/change-key.ts');
  const { parseAudited } = await import('../../backup/parse-audited.ts');
  const { toFileReference } = await import('../../keys/secret-reference.ts');
  const reference =
    path === undefined
      ? await parseAudited({ reference: options.toKey ?? '', purpose: 'generate', context })
      : toFileReference(path);
  const { keyId, version } = await generateKey(reference, context);
  const document =
    path === undefined ? { reference: reference.text, keyId, version: version ?? null } : { path, keyId };
  const keep = 'keep a copy off this machine: without it no backup can be restored';
  const where =
    path === undefined ? `made key ${keyId} in ${reference.text}` : `wrote key ${keyId} to ${path}\n${keep}`;
  context.output.result(document, where);
}

interface GenerateOpenPgpOptions extends CommonOptions, AuditOptions {
  readonly name: string;
  readonly email: string;
  readonly output: string;
  readonly passphrase?: string;
  readonly expiresInDays?: number;
}

function generateOpenPgpCommand(output: Output): Command {
  const command = new Command('openpgp')
    .description('make an OpenPGP key pair that gpg imports')
    .addOption(option('--name <name>', 'name in the certificate').makeOptionMandatory())
    .addOption(option('--email <address>', 'address in the certificate').makeOptionMandatory())
    .addOption(
      option('-o, --output <prefix>', 'writes PREFIX.pub.asc, PREFIX.key.asc and PREFIX.rev.asc').makeOptionMandatory(),
    )
    .addOption(option('--passphrase <ref>', 'protects the private key: file:PATH or env:NAME'))
    .addOption(option('--expires-in-days <n>', 'never by default').argParser(parseCount));
  addOptions(command, 'audit', 'common');
  return runWith<GenerateOpenPgpOptions>({ command, output }, generateOpenPgp);
}

async function generateOpenPgp(options: GenerateOpenPgpOptions, context: CommandContext): Promise<void> {
  const { generateOpenPgpFiles } = await import('../../backup/generate-openpgp-files.ts');
  const files = await generateOpenPgpFiles(options, context);
  context.output.result(
    files,
    [
      `wrote certificate ${files.fingerprint} to ${files.certificatePath}: backup hosts need only this`,
      `wrote its private key to ${files.privateKeyPath}: keep it off the backup host`,
      `wrote its revocation certificate to ${files.revocationPath}`,
    ].join('\n'),
  );
}
