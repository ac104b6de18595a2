import { Catalog, type BackupSelector } from '../catalog/catalog.ts';
import type { Manifest } from '../catalog/manifest.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { Archive } from './archive.ts';
import { openDecryption, type DecryptionRequest } from './open-decryption.ts';
import { createStoredArchive } from './stored-archive.ts';
import type { UseCaseContext } from './use-case-context.ts';

export interface OpenBackupRequest {
  readonly store: ObjectStore;
  readonly selector: BackupSelector;
  readonly keys: DecryptionRequest;
  readonly binDir?: string | undefined;
}

export interface OpenBackup extends Disposable {
  readonly manifest: Manifest;
  readonly archive: Archive;
}

/**
 * Finds a backup, unlocks it and checks its seal; reads no object yet. Dispose wipes its keys. Errors: `notFound`,
 * `usage` (several databases to choose from), `key`, `integrity`, `config`, those of the store.
 */
export async function openBackup(request: OpenBackupRequest, context: UseCaseContext): Promise<OpenBackup> {
  const manifest = await new Catalog(request.store).find(request.selector);
  const { store, binDir } = request;
  const decryption = await openDecryption(manifest, request.keys, context);
  return {
    manifest,
    archive: createStoredArchive({ manifest, store, decryption }, binDir, context),
    [Symbol.dispose]: () => decryption[Symbol.dispose](),
  };
}
