import { BackupError } from '../core/backup-error.ts';
import type { ObjectStore } from './object-store.ts';
import type { StoreDeps, StoreSettings } from './store-settings.ts';
import { parseStoreUrl } from './store-url.ts';

/**
 * Opens the store at an address (`parseStoreUrl`). Nothing is read or made in it yet: a folder or bucket that does not
 * exist shows at the first use. Fails with `config` for a wrong address or setting. Implementations are loaded on use:
 * the S3 client alone costs a tenth of a second.
 */
export async function openStore(text: string, settings: StoreSettings, deps: StoreDeps = {}): Promise<ObjectStore> {
  const url = parseStoreUrl(text);
  switch (url.scheme) {
    case 'file':
      return (await import('./file-store.ts')).openFileStore(url.path, text);
    case 's3':
      return await (await import('./s3-store.ts')).openS3Store(url, { text, settings, deps });
    case 'gs':
      return await (await import('./gcs-store.ts')).openGcsStore(url, { text, settings, deps });
    case 'az':
      throw new BackupError('config', `${url.scheme}:// is not supported by this version`);
  }
}
