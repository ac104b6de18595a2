import { Catalog, objectKey, type CatalogEntry } from '../catalog/catalog.ts';
import { BackupError } from '../core/backup-error.ts';
import { describeActiveLock } from '../core/object-lock.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { audited } from './audited.ts';
import type { UseCaseContext } from './use-case-context.ts';

export interface DeleteRequest {
  readonly store: ObjectStore;
  readonly id: string;
  readonly label?: string | undefined;
  /** Asked with the backup's full name before anything is deleted; throws to refuse. */
  readonly confirm: (name: string) => Promise<void>;
}

export interface DeletedBackup {
  readonly label: string;
  readonly id: string;
}

/**
 * Deletes one backup, its manifest first. A damaged one can be deleted too; one of which an object is locked or held
 * stays whole, also where the store itself would hide it behind a delete marker. `confirm` is asked with the backup's
 * full name and throws to refuse. Errors: `notFound`, `usage` (the id exists under several labels), `policy` (locked),
 * those of the store.
 */
export async function deleteBackup(request: DeleteRequest, context: UseCaseContext): Promise<DeletedBackup> {
  return await audited({ action: 'delete', context }, async (subject) => {
    subject.backup = { id: request.id, label: request.label, store: request.store.url };
    const deleted = await deleteConfirmed(request, context.now());
    subject.backup = { ...subject.backup, ...deleted };
    return deleted;
  });
}

async function deleteConfirmed(request: DeleteRequest, now: Date): Promise<DeletedBackup> {
  const catalog = new Catalog(request.store);
  const entries = (await catalog.list({ label: request.label })).filter(({ id }) => id === request.id);
  const { label, id } = single(entries, request);
  await assertUnlocked(request, { label, id }, now);
  await request.confirm(`${label}/${id}`);
  await catalog.delete({ label, id });
  return { label, id };
}

async function assertUnlocked({ store }: DeleteRequest, backup: DeletedBackup, now: Date): Promise<void> {
  for await (const { key } of store.list(objectKey(backup, ''))) {
    const problem = describeActiveLock((await store.head(key))?.lock, now);
    if (problem === null) continue;
    throw new BackupError('policy', `cannot delete backup "${backup.label}/${backup.id}": "${key}" is ${problem}`, {
      hint: 'Wait until the lock ends, or have somebody lift it who may.',
    });
  }
}

function single(entries: readonly CatalogEntry[], { store, id }: DeleteRequest): CatalogEntry {
  const [entry, ...others] = entries;
  if (entry === undefined) {
    throw new BackupError('notFound', `no backup "${id}" in "${store.url}"`, {
      hint: 'See what is there with: librelog-backup list.',
    });
  }
  if (others.length > 0) {
    throw new BackupError('usage', `backup "${id}" exists under several labels`, { hint: 'Say which with --label.' });
  }
  return entry;
}
