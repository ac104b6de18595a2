import { Catalog, type BackupName, type ListedBackup } from '../catalog/catalog.ts';
import type { Manifest } from '../catalog/manifest.ts';
import { identifyKey, type KeyIdentity } from '../core/key-identity.ts';
import type { KeyVersion } from '../keys/key-admin.ts';
import { isSecret, type SecretReference, type WrapperReference } from '../keys/secret-reference.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { forEachBackup } from './for-each-backup.ts';

/** A key that opens backups; of OpenPGP certificates `keyId` is the fingerprint. */
export type UsedKey = Omit<KeyIdentity, 'provider'> & { readonly provider: KeyIdentity['provider'] | 'openpgp' };

/** A backup in one store, and all keys that open it. */
export interface OpenableBackup extends BackupName {
  readonly store: string;
  /** Of the newest revision of its manifest, which counts. */
  readonly keys: readonly UsedKey[];
  /** What else earlier revisions name: they open its objects, whose headers have the wrapped keys of the first one. */
  readonly earlierKeys: readonly UsedKey[];
}

export interface BackupQuery {
  readonly stores: readonly ObjectStore[];
  readonly label?: string | undefined;
  /** Whether to read earlier revisions; otherwise `earlierKeys` stays empty. */
  readonly withEarlier?: boolean;
  readonly signal: AbortSignal;
}

/** What opens the backups of the stores, oldest first. Damaged manifests count as `damaged`, and name no key. */
export async function readOpenableBackups(
  query: BackupQuery,
): Promise<{ readonly backups: readonly OpenableBackup[]; readonly damaged: number }> {
  const backups: OpenableBackup[] = [];
  let damaged = 0;
  for (const store of query.stores) {
    const catalog = new Catalog(store);
    const entries = await forEachBackup({
      backups: await catalog.names({ label: query.label }),
      signal: query.signal,
      takesPassphrases: false,
      work: async (name) => {
        const entry = await catalog.read(name);
        if (entry === null) return null;
        const earlierKeys = query.withEarlier === true ? await readEarlierKeys(catalog, name) : [];
        return { ...name, keys: entry.problem === null ? keysOf(entry.manifest) : null, earlierKeys };
      },
    });
    for (const { label, id, keys, earlierKeys } of entries) {
      if (keys === null) damaged += 1;
      else backups.push({ label, id, store: store.url, keys, earlierKeys: without(earlierKeys, keys) });
    }
  }
  return { backups, damaged };
}

/** Each once. A damaged earlier revision names none: nobody reads it any more. */
async function readEarlierKeys(catalog: Catalog, { label, id, revision }: ListedBackup): Promise<readonly UsedKey[]> {
  const earlier: UsedKey[] = [];
  for (let number = revision - 1; number > 0; number -= 1) {
    const manifest = (await catalog.read({ label, id, revision: number }))?.manifest;
    if (manifest) earlier.push(...without(keysOf(manifest), earlier));
  }
  return earlier;
}

function without(keys: readonly UsedKey[], known: readonly UsedKey[]): readonly UsedKey[] {
  const names = new Set(known.map(nameKey));
  return keys.filter((key) => !names.has(nameKey(key)));
}

function nameKey({ provider, keyId, keyVersion }: UsedKey): string {
  return JSON.stringify([provider, keyId, keyVersion]);
}

function keysOf({ encryption }: Manifest): readonly UsedKey[] {
  if (encryption.method !== 'openpgp') return encryption.wrappedKeys.map(identifyKey);
  const recipients = encryption.recipients.map((keyId) => ({ provider: 'openpgp', keyId }) as const);
  return encryption.passphrase ? [...recipients, { provider: 'passphrase' }] : recipients;
}

/** Where the versions of a key are kept: `key` for all secrets, otherwise the service. */
export type KeyProvider = Exclude<UsedKey['provider'], 'passphrase'>;

export function providerOf(reference: SecretReference | WrapperReference): KeyProvider {
  return isSecret(reference) ? 'key' : reference.scheme;
}

/** A version of a key, and where it is kept. */
export interface ProvidedKey {
  readonly provider: KeyProvider;
  readonly version: KeyVersion;
}

/**
 * Whether a version of a key is what opens a backup. The id of a raw key is that of its bytes, whatever its version is
 * called; a service has one id for all versions of a key.
 */
export function isUseOf(used: UsedKey, { provider, version }: ProvidedKey): boolean {
  if (used.provider !== provider || used.keyId === undefined || used.keyId !== version.keyId) return false;
  if (provider === 'key' || used.keyVersion === undefined || version.version === undefined) return true;
  return used.keyVersion === version.version;
}

/** A key as its place tells of it: all versions of it that there still are, or that are known to be destroyed. */
export interface ListedVersions {
  readonly provider: KeyProvider;
  readonly versions: readonly KeyVersion[];
}

/**
 * Whether a key is known to open nothing any more: its version is destroyed, or its service has forgotten it. Of a
 * destroyed secret often only the version is left, so that the same version of another secret is taken for it.
 */
export function isGone(used: UsedKey, { provider, versions }: ListedVersions): boolean {
  if (used.provider !== provider) return false;
  const own = versions.filter((version) => isUseOf(used, { provider, version }));
  if (own.length > 0) return own.every(({ state }) => state === 'destroyed');
  if (provider !== 'key' && versions.some(({ keyId }) => keyId === used.keyId)) return true;
  const { keyVersion } = used;
  if (keyVersion === undefined) return false;
  return versions.some(
    ({ keyId, version, state }) => state === 'destroyed' && keyId === null && version === keyVersion,
  );
}

export function opens(key: ProvidedKey, { keys }: OpenableBackup): boolean {
  return keys.some((used) => isUseOf(used, key));
}

/** Whether nothing else opens the backup. One whose recipients are all hidden names no key, and is nobody's. */
export function opensAlone(key: ProvidedKey, backup: OpenableBackup): boolean {
  return opens(key, backup) && backup.keys.every((used) => isUseOf(used, key));
}
