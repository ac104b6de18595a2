import { Command } from 'commander';
import type { CatalogEntry } from '../../catalog/catalog.ts';
import { BackupError } from '../../core/backup-error.ts';
import { describeList } from '../output/describe-backup.ts';
import { toErrorDocument, type Output } from '../output/output.ts';
import { addOptions, type CommonOptions, type SelectOptions } from '../option-groups.ts';
import { runWith } from '../run-command.ts';
import type { StoreOptions } from '../store-options.ts';
import { withStore } from '../with-store.ts';

type ListOptions = CommonOptions & StoreOptions & SelectOptions;

export function listCommand(output: Output): Command {
  const command = new Command('list');
  addOptions(command, 'store', 'select', 'common');
  return runWith<ListOptions>({ command, output }, async (options, context) => {
    const { Catalog } = await import('../../catalog/catalog.ts');
    await withStore({ options, context }, async (store) => {
      const entries = await new Catalog(store).list({ label: options.label });
      context.output.result({ backups: entries.map(toDocument) }, describeList(entries));
      const damaged = entries.filter((entry) => entry.problem !== null).length;
      if (damaged > 0) throw new BackupError('integrity', `${damaged} of ${entries.length} manifests are damaged`);
    });
  });
}

function toDocument(entry: CatalogEntry): object {
  if (entry.problem === null) return entry.manifest;
  return { label: entry.label, id: entry.id, problem: toErrorDocument(entry.problem) };
}
