import { Command } from 'commander';
import { describeManifest } from '../output/describe-backup.ts';
import type { Output } from '../output/output.ts';
import { addOptions, type CommonOptions, type SelectOptions } from '../option-groups.ts';
import { runWith } from '../run-command.ts';
import type { StoreOptions } from '../store-options.ts';
import { withStore } from '../with-store.ts';
import { toSelector } from '../select-backup.ts';

type ShowOptions = CommonOptions & StoreOptions & SelectOptions;

export function showCommand(output: Output): Command {
  const command = new Command('show').argument('[id]', 'id of the backup, or latest', 'latest');
  addOptions(command, 'store', 'select', 'common');
  return runWith<ShowOptions>({ command, output }, async (options, context, args) => {
    const { Catalog } = await import('../../catalog/catalog.ts');
    await withStore({ options, context }, async (store) => {
      const manifest = await new Catalog(store).find(toSelector(args[0], options));
      context.output.result(manifest, describeManifest(manifest));
    });
  });
}
