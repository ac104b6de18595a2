import { BackupError } from '../core/backup-error.ts';
import type { ObjectStore } from './object-store.ts';
import type { StoreDeps, StoreSettings } from './store-settings.ts';
import { parseStoreUrl } from './store-url.ts';

/**
 * Opens the store at an address (`parseStoreUrl`). Nothing is read or made in it yet: a folder or bucket that does not
 * exist shows at the first use. Fails with `config` for a wrong address or setting, and with `policy` for a store that
 * cannot have the encryption demanded. Implementations are loaded on use: the S3 client alone costs a tenth of a second.
 */
export async function openStore(text: string, settings: StoreSettings, deps: StoreDeps = {}): Promise<ObjectStore> {
  const store = await openPlainStore(text, settings, deps);
  if (settings.uploadBytesPerSecond === undefined) return store;
  const { withUploadRate } = await import('./with-upload-rate.ts');
  return withUploadRate(store, settings.uploadBytesPerSecond);
}

async function openPlainStore(text: string, settings: StoreSettings, deps: StoreDeps): Promise<ObjectStore> {
  const url = parseStoreUrl(text);
  switch (url.scheme) {
    case 'file':
      refuseForFolders(text, settings);
      return (await import('./file-store.ts')).openFileStore(url.path, text);
    case 's3':
      return await (await import('./s3-store.ts')).openS3Store(url, { text, settings, deps });
    case 'az':
      return await (await import('./azure-store.ts')).openAzureStore(url, { text, settings, deps });
    case 'gs':
      return await (await import('./gcs-store.ts')).openGcsStore(url, { text, settings, deps });
  }
}

/** What a folder cannot do must not be thought done. */
function refuseForFolders(text: string, { lock, tags, requireEncryption }: StoreSettings): void {
  if (requireEncryption === true) {
    throw new BackupError('policy', `store "${text}" is a folder, which encrypts nothing itself`, {
      hint: 'Leave out --require-sse: the backup is encrypted all the same, before it is stored.',
    });
  }
  const unsupported = lock === undefined ? tags && 'tags' : 'locks';
  if (unsupported === undefined) return;
  throw new BackupError('config', `store "${text}" is a folder, which has no ${unsupported}`, {
    hint: 'Use an object store, or leave the setting out.',
  });
}
