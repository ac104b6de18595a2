import { BackupError } from '../core/backup-error.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { CommandContext } from './context.ts';
import type { StoreOptions, UploadOptions } from './store-options.ts';

interface Invocation {
  readonly options: StoreOptions & Partial<UploadOptions>;
  readonly context: CommandContext;
}

/** Opens the one store that the options name, and closes it after `use`. */
export async function withStore<Result>(
  invocation: Invocation,
  use: (store: ObjectStore) => Promise<Result>,
): Promise<Result> {
  return await withStores(invocation, async ([store, ...others]) => {
    if (store === undefined || others.length > 0) {
      throw new BackupError('usage', 'several stores given, and this command works on one', {
        hint: 'Say which one with --store URL.',
      });
    }
    return await use(store);
  });
}

/** Opens all stores that the options name, at least one, and closes them after `use`. */
export async function withStores<Result>(
  { options, context }: Invocation,
  use: (stores: readonly ObjectStore[]) => Promise<Result>,
): Promise<Result> {
  const addresses = options.store ?? [];
  if (addresses.length === 0) {
    throw new BackupError('usage', 'no store given', { hint: 'Say where backups are with --store URL.' });
  }
  const twice = addresses.find((address, index) => addresses.indexOf(address) !== index);
  if (twice !== undefined) throw new BackupError('usage', `store "${twice}" is given twice`);
  const { openStore } = await import('../storage/open-store.ts');
  const { readStoreSettings } = await import('./read-store-settings.ts');
  using settings = await readStoreSettings(options, context);
  await using opened = new AsyncDisposableStack();
  const stores: ObjectStore[] = [];
  for (const address of addresses) stores.push(opened.use(await openStore(address, settings.settings, context)));
  await context.audit.copyTo(stores);
  return await use(stores);
}
