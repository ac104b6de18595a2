import { Command } from 'commander';
import type { CommandContext } from '../context.ts';
import type { Output } from '../output/output.ts';
import { addOptions, type AuditOptions, type CommonOptions } from '../option-groups.ts';
import { onlyKey, option, parseCount } from '../options.ts';
import { runWith } from '../run-command.ts';

export function rotateKeysCommand(output: Output): Command {
  return new Command('rotate')
    .description('make a new key the one that encrypts; the one before goes on opening what it encrypted')
    .addCommand(rotateAesCommand(output))
    .addCommand(rotateOpenPgpCommand(output));
}

interface RotateAesOptions extends CommonOptions, AuditOptions {
  readonly key?: string | readonly string[];
}

function rotateAesCommand(output: Output): Command {
  const command = new Command('aes-256')
    .description('make a new version of a key file, a secret, or a key that stays in its service')
    .addOption(option('--key <ref>', 'the key'));
  addOptions(command, 'audit', 'common');
  return runWith<RotateAesOptions>({ command, output }, async ({ key }, context) => {
    const reference = onlyKey(key);
    const { rotateKey } = await import('../../backup/change-key.ts');
    const { parseAudited } = await import('../../backup/parse-audited.ts');
    const { keyId, version } = await rotateKey(await parseAudited({ reference, purpose: 'rotate', context }), context);
    const name = [keyId ?? '', version === undefined || version === keyId ? '' : `version ${version}`].join(' ').trim();
    context.output.result(
      { reference, keyId, version: version ?? null },
      `${reference} has a new active key, ${name}: the ones before it stay, to open what they have wrapped`,
    );
  });
}

interface RotateOpenPgpOptions extends CommonOptions, AuditOptions {
  readonly recipient: string;
  readonly output: string;
  readonly passphrase?: string;
  readonly expiresInDays?: number;
}

function rotateOpenPgpCommand(output: Output): Command {
  const command = new Command('openpgp')
    .description('make a new key pair for the owner of a certificate; the old one stays as it is')
    .addOption(option('--recipient <ref>', 'certificate to replace').makeOptionMandatory())
    .addOption(
      option('-o, --output <prefix>', 'writes PREFIX.pub.asc, PREFIX.key.asc and PREFIX.rev.asc').makeOptionMandatory(),
    )
    .addOption(option('--passphrase <ref>', 'protects the new private key: file:PATH or env:NAME'))
    .addOption(option('--expires-in-days <n>', 'never by default').argParser(parseCount));
  addOptions(command, 'audit', 'common');
  return runWith<RotateOpenPgpOptions>({ command, output }, rotateOpenPgp);
}

async function rotateOpenPgp(options: RotateOpenPgpOptions, context: CommandContext): Promise<void> {
  const { rotateOpenPgpFiles } = await import('../../backup/generate-openpgp-files.ts');
  const files = await rotateOpenPgpFiles(options, context);
  context.output.result(
    files,
    [
      `wrote certificate ${files.fingerprint} to ${files.certificatePath}: encrypt to it from now on`,
      `wrote its private key to ${files.privateKeyPath}: keep it off the backup host`,
      `wrote its revocation certificate to ${files.revocationPath}`,
      `keep the private key of ${files.replaces}: only it opens the backups made so far`,
    ].join('\n'),
  );
}
