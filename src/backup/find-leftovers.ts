import { isBackupId } from '../catalog/backup-id.ts';
import { isManifestName } from '../catalog/catalog.ts';
import type { ObjectStore, StoredObject, UnfinishedUpload } from '../storage/object-store.ts';
import type { UseCaseContext } from './use-case-context.ts';

/** What a killed or failed `create` has left: none of it belongs to a backup, and none of it ever will. */
export interface Leftovers {
  readonly objects: readonly StoredObject[];
  readonly unfinished: readonly UnfinishedUpload[];
}

/** Everything in a store, or below one label. */
export interface StoreContents {
  readonly objects: readonly StoredObject[];
  readonly unfinished: readonly UnfinishedUpload[];
}

/**
 * The leftovers among `contents`: objects in the folder of a backup that has no manifest, and unfinished uploads in the
 * folder of any backup. A folder in which anything has changed since `silentSince` is left alone as a whole, because a
 * `create` may still be filling it. What is not in the folder of a backup (`<label>/<id>/`) is not ours.
 */
export function selectLeftovers(contents: StoreContents, silentSince: Date): Leftovers {
  const { objects, unfinished } = contents;
  const committed = new Set(objects.filter(({ key }) => isManifest(key)).map(({ key }) => folderOf(key)));
  const active = new Set([
    ...objects.filter(({ modifiedAt }) => modifiedAt > silentSince).map(({ key }) => folderOf(key)),
    ...unfinished.filter(({ lastActiveAt }) => lastActiveAt > silentSince).map(({ key }) => folderOf(key)),
  ]);
  const isSilent = ({ key }: { readonly key: string }): boolean => {
    const folder = folderOf(key);
    return folder !== null && !active.has(folder);
  };
  return {
    objects: objects.filter((object) => isSilent(object) && !committed.has(folderOf(object.key))),
    unfinished: unfinished.filter(isSilent),
  };
}

/** `<label>/<id>` of what lies directly in the folder of a backup; `null` for everything else. */
function folderOf(key: string): string | null {
  const [label, id, name, ...rest] = key.split('/');
  if (label === undefined || id === undefined || name === undefined || rest.length > 0) return null;
  return isBackupId(id) ? `${label}/${id}` : null;
}

function isManifest(key: string): boolean {
  return isManifestName(key.split('/').at(-1) ?? '');
}

export interface LeftoversQuery {
  readonly store: ObjectStore;
  /** Only below this label. */
  readonly label?: string | undefined;
  /** For how long nothing may have changed beside them: longer than any running `create` stays silent. */
  readonly minAgeMs: number;
}

/**
 * Looks for leftovers; removes nothing. Unfinished uploads are listed first: one that ends meanwhile is then seen as an
 * object, and a manifest that is committed meanwhile is seen with its objects. Errors: those of the store.
 */
export async function findLeftovers(query: LeftoversQuery, context: UseCaseContext): Promise<Leftovers> {
  const { store, label, minAgeMs } = query;
  const { signal } = context;
  const prefix = label === undefined ? '' : `${label}/`;
  const unfinished = await Array.fromAsync(store.listUnfinished(prefix, { signal }));
  const objects = await Array.fromAsync(store.list(prefix, { signal }));
  return selectLeftovers({ objects, unfinished }, new Date(context.now().getTime() - minAgeMs));
}

/** Removes what `findLeftovers` has found. What is gone already is a success. Errors: those of the store. */
export async function removeLeftovers(
  store: ObjectStore,
  leftovers: Leftovers,
  { signal }: Pick<UseCaseContext, 'signal'>,
): Promise<void> {
  await store.discardUnfinished(leftovers.unfinished, { signal });
  await store.delete(
    leftovers.objects.map(({ key }) => key),
    { signal },
  );
}
