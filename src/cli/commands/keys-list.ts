import { Command } from 'commander';
import type { ListedKey } from '../../backup/list-keys.ts';
import { BackupError } from '../../core/backup-error.ts';
import { formatTable } from '../output/format.ts';
import type { Output } from '../output/output.ts';
import {
  addOptions,
  type AuditOptions,
  type CommonOptions,
  type RotationOptions,
  type SelectOptions,
} from '../option-groups.ts';
import { listOption } from '../options.ts';
import { runWith } from '../run-command.ts';
import type { StoreOptions } from '../store-options.ts';
import { withStores } from '../with-store.ts';

interface ListOptions extends CommonOptions, AuditOptions, RotationOptions, SelectOptions, StoreOptions {
  readonly key?: readonly string[];
  readonly recipient?: readonly string[];
}

export function listKeysCommand(output: Output): Command {
  const command = new Command('list')
    .description('list keys, their versions and ages, and how many backups of the stores need them')
    .addOption(listOption('--key <ref>', 'key to look at'))
    .addOption(listOption('--recipient <ref>', 'OpenPGP certificate to look at'));
  addOptions(command, 'store', 'select', 'rotation', 'audit', 'common');
  return runWith<ListOptions>({ command, output }, async (options, context) => {
    const { key: keys = [], recipient: recipients = [], label, rotationMaxAgeDays: maxAgeDays } = options;
    if (keys.length + recipients.length === 0 && options.store === undefined) {
      throw new BackupError('usage', 'nothing to list', { hint: 'Name keys with --key, or a store with --store.' });
    }
    const { listKeys } = await import('../../backup/list-keys.ts');
    const request = { keys, recipients, label, policy: { maxAgeDays } };
    const list = async (stores: Parameters<typeof listKeys>[0]['stores']): Promise<void> => {
      const listed = await listKeys({ ...request, stores }, context);
      context.output.result({ keys: listed }, describe(listed, stores.length > 0));
    };
    await (options.store === undefined ? list([]) : withStores({ options, context }, list));
  });
}

function describe(keys: readonly ListedKey[], hasStores: boolean): string {
  if (keys.length === 0) return 'no keys';
  const counts = hasStores ? ['BACKUPS', 'ONLY KEY OF'] : [];
  return formatTable([
    ['REFERENCE', 'KEY', 'VERSION', 'STATE', 'AGE', ...counts],
    ...keys.map((key) => describeOne(key, hasStores)),
  ]);
}

function describeOne(key: ListedKey, hasStores: boolean): string[] {
  const { reference, provider, keyId, version, state, ageDays, age, backups, onlyKeyOf } = key;
  const due = age === 'overdue' ? ' OVERDUE' : age === 'due' ? ' due soon' : '';
  return [
    reference ?? `(${provider})`,
    keyId ?? '-',
    version ?? '-',
    state,
    ageDays === null ? '-' : `${ageDays} d${due}`,
    ...(hasStores ? [String(backups ?? '?'), String(onlyKeyOf ?? '?')] : []),
  ];
}
