import { BackupError } from '../core/backup-error.ts';
import { collect, streamOf, type ByteStream } from '../core/byte-stream.ts';
import { manifestName, revisionOf } from '../core/manifest-name.ts';
import { isBackupId } from './backup-id.ts';
import { parseManifest, type Manifest } from './manifest.ts';

/** What the catalog needs of a store; `ObjectStore` has it. */
export interface CatalogStore {
  readonly url: string;
  put(key: string, body: ByteStream, options: { createOnly: boolean; signal?: AbortSignal }): Promise<unknown>;
  get(key: string, options?: { signal?: AbortSignal }): ByteStream;
  list(prefix: string, options?: { signal?: AbortSignal }): AsyncIterable<{ readonly key: string }>;
  delete(keys: readonly string[], options?: { signal?: AbortSignal }): Promise<void>;
}

export interface BackupName {
  readonly label: string;
  readonly id: string;
}

/** A backup as a listing shows it: `revision` is the newest of its manifests, the one that counts. */
export interface ListedBackup extends BackupName {
  readonly revision: number;
}

/** A manifest that is there. It may be damaged: then `problem` says how, and the backup cannot be used. */
export type CatalogEntry = BackupName &
  (
    | { readonly manifest: Manifest; readonly problem: null }
    | { readonly manifest: null; readonly problem: BackupError }
  );

export interface BackupQuery {
  /** Only backups of this label. */
  readonly label?: string | undefined;
}

/** Which backup of a store is meant. */
export type BackupSelector = BackupQuery &
  (
    | { readonly by: 'id'; readonly id: string }
    | { readonly by: 'latest' }
    /** The newest one that started at or before `at`. */
    | { readonly by: 'time'; readonly at: Date }
  );

const maxManifestBytes = 16 * 1024 * 1024;
const readsInFlight = 8;

export function objectKey(backup: BackupName, name: string): string {
  return `${backup.label}/${backup.id}/${name}`;
}

/** Whether an object of this name in the folder of a backup is what makes it exist. */
export function isManifestName(name: string): boolean {
  return name === manifestName(1);
}

/**
 * The backups of a store. A backup exists exactly when its first manifest does. A manifest is never replaced: what
 * changes is committed as a further revision beside it, and the newest one counts.
 */
export class Catalog {
  readonly #store: CatalogStore;

  constructor(store: CatalogStore) {
    this.#store = store;
  }

  /** Makes the backup, or a further revision of it, exist. Create-only: fails with `conflict` when it is there already. */
  async commit(manifest: Manifest, options: { signal?: AbortSignal } = {}): Promise<void> {
    const text = `${JSON.stringify(manifest, null, 2)}\n`;
    const key = objectKey(manifest, manifestName(manifest.revision ?? 1));
    await this.#store.put(key, streamOf(text), { createOnly: true, ...options });
  }

  /** Every backup, oldest first. Damaged manifests are entries too: what is broken must be seen. */
  async list(query: BackupQuery = {}): Promise<readonly CatalogEntry[]> {
    return await this.#readAll(await this.names(query));
  }

  /** Which backups there are, oldest first, without a look into their manifests. */
  async names(query: BackupQuery = {}): Promise<readonly ListedBackup[]> {
    return await this.#namesBelow(query.label === undefined ? '' : `${query.label}/`);
  }

  /** One backup of a listing; `null` when it was deleted since. */
  async read(name: ListedBackup): Promise<CatalogEntry | null> {
    try {
      return await this.#read(name);
    } catch (error) {
      if (error instanceof BackupError && error.kind === 'notFound') return null;
      throw error;
    }
  }

  /** One backup as it is now; `null` when there is none. */
  async readNow(backup: BackupName): Promise<CatalogEntry | null> {
    const [name] = await this.#namesBelow(objectKey(backup, ''));
    return name === undefined ? null : await this.read(name);
  }

  /**
   * The one backup that is meant. Fails with `notFound` when there is none, with `usage` when `latest` or a time could
   * mean backups of several databases, and with `integrity` when its manifest is damaged: never a silent second best.
   */
  async find(selector: BackupSelector): Promise<Manifest> {
    const found = choose(await this.names(selector), selector, this.#store.url);
    const entry = await this.#read(found);
    if (entry.problem !== null) throw entry.problem;
    return entry.manifest;
  }

  /**
   * Deletes the first manifest first, so that a backup half deleted is no backup, then its further revisions, objects and
   * leftovers.
   */
  async delete(backup: BackupName): Promise<void> {
    await this.#store.delete([objectKey(backup, manifestName(1))]);
    const keys: string[] = [];
    for await (const object of this.#store.list(objectKey(backup, ''))) keys.push(object.key);
    await this.#store.delete(keys);
  }

  async #namesBelow(prefix: string): Promise<readonly ListedBackup[]> {
    const existing = new Set<string>();
    const newest = new Map<string, ListedBackup>();
    for await (const { key } of this.#store.list(prefix)) {
      const found = parseManifestKey(key);
      if (found === null) continue;
      const folder = objectKey(found, '');
      if (found.revision === 1) existing.add(folder);
      if (found.revision > (newest.get(folder)?.revision ?? 0)) newest.set(folder, found);
    }
    const names = [...newest].filter(([folder]) => existing.has(folder)).map(([, name]) => name);
    return names.toSorted((a, b) => compareText(a.id, b.id) || compareText(a.label, b.label));
  }

  async #readAll(names: readonly ListedBackup[]): Promise<CatalogEntry[]> {
    const entries: CatalogEntry[] = [];
    for (let start = 0; start < names.length; start += readsInFlight) {
      const batch = names.slice(start, start + readsInFlight);
      const read = await Promise.all(batch.map(async (name) => await this.read(name)));
      entries.push(...read.filter((entry) => entry !== null));
    }
    return entries;
  }

  /** Failures of the store are thrown; what is wrong with the manifest itself is the entry's problem. */
  async #read({ label, id, revision }: ListedBackup): Promise<CatalogEntry> {
    const key = objectKey({ label, id }, manifestName(revision));
    try {
      const manifest = parseManifest(await collect(this.#store.get(key), maxManifestBytes), key);
      assertPlace(manifest, { label, id, revision }, key);
      return { label, id, manifest, problem: null };
    } catch (error) {
      if (!(error instanceof BackupError) || error.kind !== 'integrity') throw error;
      return { label, id, manifest: null, problem: nameManifest(key, error) };
    }
  }
}

/** `null` unless a manifest in the folder of a backup has this key. */
function parseManifestKey(key: string): ListedBackup | null {
  const [label, id, name, ...rest] = key.split('/');
  if (label === undefined || id === undefined || name === undefined || rest.length > 0 || !isBackupId(id)) return null;
  const revision = revisionOf(name);
  return revision === null ? null : { label, id, revision };
}

/** Fails with `integrity` for a manifest that was moved here from another place. */
function assertPlace(manifest: Manifest, { label, id, revision }: ListedBackup, key: string): void {
  if (manifest.id !== id || manifest.label !== label) {
    throw new BackupError('integrity', `manifest "${key}" belongs to backup ${manifest.label}/${manifest.id}`);
  }
  const said = manifest.revision ?? 1;
  if (said !== revision) throw new BackupError('integrity', `manifest "${key}" says that it is revision ${said}`);
}

function nameManifest(key: string, problem: BackupError): BackupError {
  if (problem.message.includes(key)) return problem;
  return new BackupError('integrity', `cannot read manifest "${key}": ${problem.message}`, { cause: problem });
}

function choose(names: readonly ListedBackup[], selector: BackupSelector, url: string): ListedBackup {
  const candidates = names.filter((name) => isMeant(name, selector));
  const newest = candidates.at(-1);
  if (newest === undefined) throw missing(selector, url);
  const labels = new Set(candidates.map((name) => name.label));
  if (labels.size > 1) {
    throw new BackupError('usage', `"${url}" holds backups of several databases: ${[...labels].join(', ')}`, {
      hint: 'Say which one with --label.',
    });
  }
  return newest;
}

function isMeant(name: BackupName, selector: BackupSelector): boolean {
  switch (selector.by) {
    case 'id':
      return name.id === selector.id;
    case 'latest':
      return true;
    case 'time':
      return startOf(name.id) <= selector.at;
  }
}

/** The start in an id, in whole seconds. */
function startOf(id: string): Date {
  const [instant = ''] = id.split('-');
  return new Date(instant.replace(/^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z$/, '$1-$2-$3T$4:$5:$6Z'));
}

function missing(selector: BackupSelector, url: string): BackupError {
  const of = selector.label === undefined ? '' : ` of "${selector.label}"`;
  const which = {
    id: () => `no backup "${selector.by === 'id' ? selector.id : ''}"${of}`,
    latest: () => `no backup${of}`,
    time: () => `no backup${of} as old as that`,
  }[selector.by]();
  return new BackupError('notFound', `${which} in "${url}"`, { hint: 'See what is there with: librelog-backup list.' });
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
