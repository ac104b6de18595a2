import { Command } from 'commander';
import type { KeyLoss, OtherKey, StoredName } from '../../backup/shred-key.ts';
import { describeKey } from '../../core/key-identity.ts';
import { confirmByName } from '../output/confirm.ts';
import type { Output } from '../output/output.ts';
import { addOptions, type AuditOptions, type CommonOptions } from '../option-groups.ts';
import { onlyKey, option } from '../options.ts';
import { runWith } from '../run-command.ts';
import type { StoreOptions } from '../store-options.ts';
import { withStores } from '../with-store.ts';

interface ShredOptions extends CommonOptions, AuditOptions, StoreOptions {
  readonly key?: string | readonly string[];
  readonly keyVersion: string;
  readonly confirm?: string;
  readonly force?: boolean;
}

export function shredKeyCommand(output: Output): Command {
  const command = new Command('shred')
    .description('destroy one version of a key, and with it every backup that nothing else opens')
    .addOption(option('--key <ref>', 'the key'))
    .addOption(option('--key-version <id>', 'key id or version to destroy: see keys list').makeOptionMandatory())
    .addOption(option('--confirm <id>', 'the key id or version again, instead of typing it'))
    .addOption(option('--force', 'also when a database keeps no backup that can be opened'));
  addOptions(command, 'store', 'audit', 'common');
  return runWith<ShredOptions>({ command, output }, async (options, context) => {
    const { shredKey } = await import('../../backup/shred-key.ts');
    const { keyVersion: version, force = false } = options;
    const reference = onlyKey(options.key);
    await withStores({ options, context }, async (stores) => {
      const confirm = async (loss: KeyLoss): Promise<void> => {
        context.output.notice(describeLoss(loss));
        await confirmByName(`Destroy key ${version} of ${reference} for good?`, version, options.confirm);
      };
      const { key, lost, remaining } = await shredKey({ reference, version, stores, force, confirm }, context);
      const document = { reference, keyId: key.keyId, version: key.version ?? null, lost, remaining };
      context.output.result(document, `destroyed key ${version} of ${reference}`);
    });
  });
}

function describeLoss({ lost, remaining, emptied }: KeyLoss): string {
  return [
    `${lost.length} backups will be lost for good${lost.length === 0 ? '' : ':'}`,
    ...lost.map(describeName),
    ...(remaining.length === 0 ? [] : [`${remaining.length} backups need their other keys from then on:`]),
    ...remaining.map((backup) => `${describeName(backup)}: ${backup.others.map(describeOther).join(' or ')}`),
    ...emptied.map((place) => `no backup that restore opens will be left of ${place}`),
  ].join('\n');
}

function describeName({ label, id, store }: StoredName): string {
  return `  ${label}/${id} in ${store}`;
}

function describeOther({ isEarlier, provider, ...key }: OtherKey): string {
  const name = provider === 'openpgp' ? `OpenPGP ${key.keyId ?? ''}` : describeKey({ provider, ...key });
  return isEarlier ? `${name} (by what it wrapped before a rewrap)` : name;
}
