import { Command } from 'commander';
import { describeManifest } from '../output/describe-backup.ts';
import type { Output } from '../output/output.ts';
import { addOptions, type CommonOptions, type SelectOptions, type StoreOptions } from '../options.ts';
import { runWith, withStore } from '../run-command.ts';
import { toSelector } from '../select-backup.ts';

type ShowOptions = CommonOptions & StoreOptions & SelectOptions;

export function showCommand(output: Output): Command {
  const command = new Command('show')
    .description('show everything that is known of a backup')
    .argument('[id]', 'id of the backup, or latest', 'latest');
  addOptions(command, 'store', 'select', 'common');
  return runWith<ShowOptions>({ command, output }, async (options, context, args) => {
    const { Catalog } = await import('../../catalog/catalog.ts');
    await withStore(options, async (store) => {
      const manifest = await new Catalog(store).find(toSelector(args[0], options));
      context.output.result(manifest, describeManifest(manifest));
    });
  });
}
