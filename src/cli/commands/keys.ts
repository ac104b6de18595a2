import { Command } from 'commander';
import { audited } from '../../backup/audited.ts';
import type { CommandContext } from '../context.ts';
import type { Output } from '../output/output.ts';
import { addOptions, type AuditOptions, type CommonOptions } from '../option-groups.ts';
import { option, parseCount } from '../options.ts';
import { runWith } from '../run-command.ts';

export function keysCommand(output: Output): Command {
  return new Command('keys').description('make keys').addCommand(generateCommand(output));
}

function generateCommand(output: Output): Command {
  return new Command('generate')
    .description('make a new key')
    .addCommand(generateAesCommand(output))
    .addCommand(generateOpenPgpCommand(output));
}

interface GenerateAesOptions extends CommonOptions, AuditOptions {
  readonly output: string;
}

function generateAesCommand(output: Output): Command {
  const command = new Command('aes-256')
    .description('make an AES-256 key file that only its owner can read')
    .addOption(option('-o, --output <file>', 'path of the new key file').makeOptionMandatory());
  addOptions(command, 'audit', 'common');
  return runWith<GenerateAesOptions>({ command, output }, async (options, context) => {
    const { generateKeyFile } = await import('../../keys/generate-key-file.ts');
    const key = await audited({ action: 'generate', context }, async (subject) => {
      subject.key = { source: `file:${options.output}`, purpose: 'generate' };
      const made = await generateKeyFile(options.output, { now: context.now() });
      subject.key = { ...subject.key, id: made.keyId };
      return made;
    });
    context.output.result(
      key,
      `wrote key ${key.keyId} to ${key.path}\nkeep a copy off this machine: without it no backup can be restored`,
    );
  });
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
  const files = await audited({ action: 'generate', context }, async (subject) => {
    subject.key = { source: `file:${options.output}.key.asc`, purpose: 'generate' };
    const made = await generateOpenPgpFiles(options, context);
    subject.key = { ...subject.key, id: made.fingerprint };
    return made;
  });
  context.output.result(
    files,
    [
      `wrote certificate ${files.fingerprint} to ${files.certificatePath}: backup hosts need only this`,
      `wrote its private key to ${files.privateKeyPath}: keep it off the backup host`,
      `wrote its revocation certificate to ${files.revocationPath}`,
    ].join('\n'),
  );
}
