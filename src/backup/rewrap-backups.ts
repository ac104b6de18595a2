import { Catalog, type BackupName, type CatalogEntry, type ListedBackup } from '../catalog/catalog.ts';
import type { Manifest } from '../catalog/manifest.ts';
import { canonicalManifestBytes } from '../catalog/seal.ts';
import { BackupError } from '../core/backup-error.ts';
import { identifyKey, type KeyIdentity } from '../core/key-identity.ts';
import type { WrappedKey } from '../core/wrapped-key.ts';
import type { Unlockers, Wrappers } from '../crypto/data-key.ts';
import { macManifest } from '../crypto/manifest-mac.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { audited } from './audited.ts';
import { forEachBackup, isOfOneBackup } from './for-each-backup.ts';
import { openDataKey, type OpenedDataKey } from './open-data-key.ts';
import { prepareAudit } from './prepare-audit.ts';
import { readUnlockers, type UnlockRequest } from './read-secrets.ts';
import type { UseCaseContext } from './use-case-context.ts';
import { wrapAgain } from './wrap-again.ts';

export interface RewrapRequest {
  readonly store: ObjectStore;
  readonly label?: string | undefined;
  /** All by default. */
  readonly ids?: readonly string[] | undefined;
  /** What opens the backups today; what is to open them from now on is tried as well. */
  readonly unlock: UnlockRequest;
  /** What is to open them from now on: at least one key or passphrase. */
  readonly wrap: UnlockRequest;
  /** Whether what other keys have wrapped stays; it is dropped by default. */
  readonly keepsOthers?: boolean;
  /** Default: only says what would be written. */
  readonly isDryRun?: boolean;
}

/** What was done to one backup. `skipped`: nothing can be wrapped anew there, and nothing has to be. */
export type RewrappedBackup = BackupName &
  (
    | {
        readonly outcome: 'rewrapped' | 'wouldRewrap';
        readonly revision: number;
        readonly before: readonly KeyIdentity[];
        readonly after: readonly KeyIdentity[];
      }
    | { readonly outcome: 'unchanged'; readonly after: readonly KeyIdentity[] }
    | { readonly outcome: 'skipped'; readonly reason: string }
    | { readonly outcome: 'failed'; readonly problem: BackupError }
  );

/** Others that wrap the same backups at the same time can win so often before it is their fault. */
const maxAttempts = 5;

/**
 * Wraps the data keys of backups with other keys, by committing a further revision of each manifest; objects are neither
 * read nor written, and no manifest is replaced. At most 8 backups at once. Running it again goes on where it was
 * stopped; two runs at once do no harm. A backup that fails (`key`, `integrity`, `config`, `conflict`) is reported and
 * the others go on. Errors: `usage` (no new key), `notFound` (an id), `config`, `key` (a passphrase), those of the store.
 */
export async function rewrapBackups(
  request: RewrapRequest,
  context: UseCaseContext,
): Promise<readonly RewrappedBackup[]> {
  const { store, label, wrap, unlock } = request;
  if ((wrap.keys ?? []).length === 0 && wrap.passphrase === undefined) {
    throw new BackupError('usage', 'no key given to wrap with', { hint: 'Name the new key with --to-key REF.' });
  }
  using targets = await readUnlockers(wrap, context);
  using today = await readUnlockers(unlock, context);
  const unlockers: Unlockers = {
    keys: [...today.keys, ...targets.keys],
    passphrases: [...today.passphrases, ...targets.passphrases],
  };
  const catalog = new Catalog(store);
  const backups = selectIds(await catalog.names({ label }), request);
  const rewrap = { request, context: await prepareAudit(context), catalog, targets, unlockers };
  return await forEachBackup({
    backups,
    signal: context.signal,
    takesPassphrases: unlockers.passphrases?.length !== 0,
    work: async (backup, signal) => await rewrapOne(rewrap, backup, signal),
  });
}

interface Rewrap {
  readonly request: RewrapRequest;
  readonly context: UseCaseContext;
  readonly catalog: Catalog;
  readonly targets: Wrappers;
  readonly unlockers: Unlockers;
}

function selectIds(names: readonly ListedBackup[], { ids, store }: RewrapRequest): readonly ListedBackup[] {
  if (ids === undefined || ids.length === 0) return names;
  const missing = ids.find((id) => !names.some((name) => name.id === id));
  if (missing === undefined) return names.filter(({ id }) => ids.includes(id));
  throw new BackupError('notFound', `no backup "${missing}" in "${store.url}"`, {
    hint: 'See what is there with: librelog-backup list.',
  });
}

/** `null`: deleted meanwhile. */
async function rewrapOne(run: Rewrap, backup: ListedBackup, signal: AbortSignal): Promise<RewrappedBackup | null> {
  let entry = await run.catalog.read(backup);
  for (let attempt = 1; entry !== null; attempt += 1) {
    try {
      return await rewrapAudited(run, entry, signal);
    } catch (error) {
      if (!isOfOneBackup(error)) throw error;
      const { label, id } = backup;
      if (error.kind !== 'conflict' || attempt === maxAttempts) return { label, id, outcome: 'failed', problem: error };
    }
    // Somebody else was faster: there may be nothing left to do.
    entry = await run.catalog.readNow(backup);
  }
  return null;
}

async function rewrapAudited(run: Rewrap, entry: CatalogEntry, signal: AbortSignal): Promise<RewrappedBackup> {
  const { context, request } = run;
  if (request.isDryRun !== false) return await rewrapEntry(run, entry, signal);
  const isEvent = ({ outcome }: RewrappedBackup) => outcome === 'rewrapped';
  return await audited({ action: 'rewrap', context, isEvent }, async (subject) => {
    subject.backup = { id: entry.id, label: entry.label, store: request.store.url };
    return await rewrapEntry(run, entry, signal);
  });
}

async function rewrapEntry(run: Rewrap, entry: CatalogEntry, signal: AbortSignal): Promise<RewrappedBackup> {
  const { label, id } = entry;
  if (entry.problem !== null) throw entry.problem;
  if (entry.manifest.encryption.method === 'openpgp') {
    const reason = 'its objects name their OpenPGP recipients themselves';
    return { label, id, outcome: 'skipped', reason };
  }
  using opened = await openDataKey(entry.manifest, run.unlockers);
  const before = opened.wrappedKeys.map(identifyKey);
  const wrappedKeys = await wrapAgain(opened, run.targets, { keepsOthers: run.request.keepsOthers === true });
  if (wrappedKeys === null) return { label, id, outcome: 'unchanged', after: before };
  const next = createRevision(entry.manifest, { opened, wrappedKeys, now: run.context.now() });
  const { revision } = next;
  const done = { label, id, revision, before, after: wrappedKeys.map(identifyKey) };
  if (run.request.isDryRun !== false) return { ...done, outcome: 'wouldRewrap' };
  // Heeded until the commit begins: its outcome must not stay unknown.
  signal.throwIfAborted();
  await run.catalog.commit(next);
  return { ...done, outcome: 'rewrapped' };
}

interface Revision {
  readonly opened: OpenedDataKey;
  readonly wrappedKeys: readonly WrappedKey[];
  readonly now: Date;
}

/** The next manifest of the same backup, sealed. */
function createRevision(
  manifest: Manifest,
  { opened, wrappedKeys, now }: Revision,
): Manifest & { readonly revision: number } {
  const { seal: _, ...facts } = manifest;
  const unsealed = {
    ...facts,
    revision: (manifest.revision ?? 1) + 1,
    rewrappedAt: now.toISOString(),
    encryption: { method: 'aes-256-gcm-hkdf-1mb', wrappedKeys: [...wrappedKeys] },
  } as const satisfies Omit<Manifest, 'seal'>;
  const value = macManifest(opened.dataKey, canonicalManifestBytes(unsealed));
  return { ...unsealed, seal: { method: 'hmac-sha-256', value } };
}
