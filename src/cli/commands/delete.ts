import { Command } from 'commander';
import { BackupError } from '../../core/backup-error.ts';
import type { Output } from '../output/output.ts';
import { addOptions, type AuditOptions, type CommonOptions, type SelectOptions } from '../option-groups.ts';
import { option } from '../options.ts';
import { runWith } from '../run-command.ts';
import type { StoreOptions } from '../store-options.ts';
import { withStore } from '../with-store.ts';

interface DeleteOptions extends CommonOptions, AuditOptions, StoreOptions, SelectOptions {
  readonly yes?: boolean;
}

export function deleteCommand(output: Output): Command {
  const command = new Command('delete')
    .argument('<id>', 'id of the backup; latest is not accepted here')
    .addOption(option('--yes', 'do it without asking'));
  addOptions(command, 'store', 'select', 'audit', 'common');
  return runWith<DeleteOptions>({ command, output }, async (options, context, args) => {
    const [id = ''] = args;
    if (id === 'latest') {
      throw new BackupError('usage', 'delete wants the id of a backup', {
        hint: 'Copy it from: librelog-backup list.',
      });
    }
    const { deleteBackup } = await import('../../backup/delete-backup.ts');
    const { confirm } = await import('../output/confirm.ts');
    await withStore({ options, context }, async (store) => {
      const request = {
        store,
        id,
        label: options.label,
        confirm: async (name: string) => await confirm(`Delete backup ${name} for good?`, options.yes === true),
      };
      const deleted = await deleteBackup(request, context);
      context.output.result({ deleted }, `deleted ${deleted.label}/${deleted.id}`);
    });
  });
}
