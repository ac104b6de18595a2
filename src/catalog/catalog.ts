import { BackupError } from '../core/backup-error.ts';
import { collect, streamOf, type ByteStream } from '../core/byte-stream.ts';
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

/** A manifest that is there. It may be damaged: then `problem` says how, and the backup cannot be used. */
export type CatalogEntry = { readonly label: string; readonly id: string } & (
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

const manifestName = 'manifest.json';
const maxManifestBytes = 16 * 1024 * 1024;
const readsInFlight = 8;

export function objectKey(backup: { readonly label: string; readonly id: string }, name: string): string {
  return `${backup.label}/${backup.id}/${name}`;
}

/** Whether an object of this name in the folder of a backup is what makes it exist. */
export function isManifestName(name: string): boolean {
  return name === manifestName;
}

/** The backups of a store. A backup exists exactly when its manifest does. */
export class Catalog {
  readonly #store: CatalogStore;

  constructor(store: CatalogStore) {
    this.#store = store;
  }

  /** Makes the backup exist. Create-only: fails with `conflict` when its manifest is there already. */
  async commit(manifest: Manifest, options: { signal?: AbortSignal } = {}): Promise<void> {
    const text = `${JSON.stringify(manifest, null, 2)}\n`;
    await this.#store.put(objectKey(manifest, manifestName), streamOf(text), { createOnly: true, ...options });
  }

  /** Every backup, oldest first. Damaged manifests are entries too: what is broken must be seen. */
  async list(query: BackupQuery = {}): Promise<readonly CatalogEntry[]> {
    return await this.#readAll(await this.#manifestNames(query));
  }

  /**
   * The one backup that is meant. Fails with `notFound` when there is none, with `usage` when `latest` or a time could
   * mean backups of several databases, and with `integrity` when its manifest is damaged: never a silent second best.
   */
  async find(selector: BackupSelector): Promise<Manifest> {
    const found = choose(await this.#manifestNames(selector), selector, this.#store.url);
    const entry = await this.#read(found);
    if (entry.problem !== null) throw entry.problem;
    return entry.manifest;
  }

  /** Deletes the manifest first, so that a backup half deleted is no backup, then its objects and leftovers. */
  async delete(backup: { readonly label: string; readonly id: string }): Promise<void> {
    await this.#store.delete([objectKey(backup, manifestName)]);
    const keys: string[] = [];
    for await (const object of this.#store.list(objectKey(backup, ''))) keys.push(object.key);
    await this.#store.delete(keys);
  }

  async #manifestNames(query: BackupQuery): Promise<BackupName[]> {
    const names: BackupName[] = [];
    for await (const { key } of this.#store.list(query.label === undefined ? '' : `${query.label}/`)) {
      const [label, id, name, ...rest] = key.split('/');
      if (label === undefined || id === undefined || name !== manifestName || rest.length > 0 || !isBackupId(id))
        continue;
      names.push({ label, id });
    }
    return names.toSorted((a, b) => compareText(a.id, b.id) || compareText(a.label, b.label));
  }

  async #readAll(names: readonly BackupName[]): Promise<CatalogEntry[]> {
    const entries: CatalogEntry[] = [];
    for (let start = 0; start < names.length; start += readsInFlight) {
      const batch = names.slice(start, start + readsInFlight);
      const read = await Promise.all(batch.map(async (name) => await this.#readIfThere(name)));
      entries.push(...read.filter((entry) => entry !== null));
    }
    return entries;
  }

  /** `null`: deleted since it was listed. */
  async #readIfThere(name: BackupName): Promise<CatalogEntry | null> {
    try {
      return await this.#read(name);
    } catch (error) {
      if (error instanceof BackupError && error.kind === 'notFound') return null;
      throw error;
    }
  }

  /** Failures of the store are thrown; what is wrong with the manifest itself is the entry's problem. */
  async #read(name: BackupName): Promise<CatalogEntry> {
    const key = objectKey(name, manifestName);
    try {
      const manifest = parseManifest(await collect(this.#store.get(key), maxManifestBytes), key);
      if (manifest.id !== name.id || manifest.label !== name.label) {
        throw new BackupError('integrity', `manifest "${key}" belongs to backup ${manifest.label}/${manifest.id}`);
      }
      return { ...name, manifest, problem: null };
    } catch (error) {
      if (!(error instanceof BackupError) || error.kind !== 'integrity') throw error;
      return { ...name, manifest: null, problem: nameManifest(key, error) };
    }
  }
}

function nameManifest(key: string, problem: BackupError): BackupError {
  if (problem.message.includes(key)) return problem;
  return new BackupError('integrity', `cannot read manifest "${key}": ${problem.message}`, { cause: problem });
}

interface BackupName {
  readonly label: string;
  readonly id: string;
}

function choose(names: readonly BackupName[], selector: BackupSelector, url: string): BackupName {
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
