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
  const committed = committedFolders(contents);
  const active = activeFolders(contents, silentSince);
  const isSilent = ({ key }: { readonly key: string }): boolean => {
    const folder = folderOf(key);
    return folder !== null && !active.has(folder);
  };
  return {
    objects: objects.filter((object) => isSilent(object) && !committed.has(folderOf(object.key) ?? '')),
    unfinished: unfinished.filter(isSilent),
  };
}

/** `<label>/<id>` of what a `create` may be making: there is no manifest, and something has changed since `silentSince`. */
export function selectUnderWay(contents: StoreContents, silentSince: Date): readonly string[] {
  const committed = committedFolders(contents);
  return [...activeFolders(contents, silentSince)].filter((folder) => !committed.has(folder)).toSorted();
}

function committedFolders({ objects }: StoreContents): ReadonlySet<string> {
  return foldersOf(objects.filter(({ key }) => isManifest(key)));
}

function activeFolders({ objects, unfinished }: StoreContents, silentSince: Date): ReadonlySet<string> {
  return foldersOf([
    ...objects.filter(({ modifiedAt }) => modifiedAt > silentSince),
    ...unfinished.filter(({ lastActiveAt }) => lastActiveAt > silentSince),
  ]);
}

function foldersOf(entries: readonly { readonly key: string }[]): ReadonlySet<string> {
  return new Set(entries.map(({ key }) => folderOf(key)).filter((folder) => folder !== null));
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

/** Looks for leftovers; removes nothing. Errors: those of the store. */
export async function findLeftovers(query: LeftoversQuery, context: UseCaseContext): Promise<Leftovers> {
  return selectLeftovers(await readContents(query, context), new Date(context.now().getTime() - query.minAgeMs));
}

/** For how long a `create` that gives no sign of life in a store is taken to be running all the same. */
const underWayMs = 24 * 3_600_000;

/** `<label>/<id>` of backups that are being made in a store, or were broken off in the last 24 hours. Errors: of the store. */
export async function findUnderWay(store: ObjectStore, context: UseCaseContext): Promise<readonly string[]> {
  return selectUnderWay(await readContents({ store }, context), new Date(context.now().getTime() - underWayMs));
}

/**
 * Unfinished uploads are listed first: one that ends meanwhile is then seen as an object, and a manifest that is committed
 * meanwhile is seen with its objects.
 */
async function readContents(
  { store, label }: Pick<LeftoversQuery, 'store' | 'label'>,
  { signal }: UseCaseContext,
): Promise<StoreContents> {
  const prefix = label === undefined ? '' : `${label}/`;
  const unfinished = await Array.fromAsync(store.listUnfinished(prefix, { signal }));
  const objects = await Array.fromAsync(store.list(prefix, { signal }));
  return { objects, unfinished };
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
