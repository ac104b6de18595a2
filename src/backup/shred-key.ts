import type { BackupName } from '../catalog/catalog.ts';
import { BackupError } from '../core/backup-error.ts';
import type { KeyVersion } from '../keys/key-admin.ts';
import { openKeyAdmin } from '../keys/open-key-admin.ts';
import { audited } from './audited.ts';
import { findUnderWay } from './find-leftovers.ts';
import {
  isGone,
  isUseOf,
  providerOf,
  readOpenableBackups,
  type ListedVersions,
  type OpenableBackup,
  type ProvidedKey,
  type UsedKey,
} from './key-uses.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { parseAudited } from './parse-audited.ts';
import type { UseCaseContext } from './use-case-context.ts';

export interface ShredRequest {
  readonly reference: string;
  /** Key id or version. */
  readonly version: string;
  /** Where the backups are that may need the key: what is in other stores is not seen. */
  readonly stores: readonly ObjectStore[];
  /** Also when a label would keep no backup that anything opens. */
  readonly force: boolean;
  /** Asked with everything that will be lost, before anything is; throws to refuse. */
  readonly confirm: (loss: KeyLoss) => Promise<void>;
}

/** What the destruction of a version of a key means. */
export interface KeyLoss {
  readonly key: KeyVersion;
  /** Nothing else opens them, as far as is known. */
  readonly lost: readonly StoredName[];
  /** Other keys open them as well, if whoever has those still does. */
  readonly remaining: readonly (StoredName & { readonly others: readonly OtherKey[] })[];
  /** Labels, with their store, of which `restore` would open no backup any more. */
  readonly emptied: readonly string[];
}

export type StoredName = BackupName & { readonly store: string };

/** `isEarlier`: only earlier revisions of the manifest and the headers of the objects have what it wrapped. */
export type OtherKey = UsedKey & { readonly isEarlier: boolean };

/**
 * Destroys one version of a key, and with it all backups that nothing else opens. Errors: `key` (no such version), `policy`
 * (it opens the last backups of a label, a manifest cannot be read, or backups are being made), `conflict` (more would be
 * lost than was confirmed), as `KeyAdmin.destroy`, `config`, of the stores.
 */
export async function shredKey(request: ShredRequest, context: UseCaseContext): Promise<KeyLoss> {
  const reference = await parseAudited({ reference: request.reference, purpose: 'shred', context });
  using admin = await openKeyAdmin(reference, context);
  return await audited({ action: 'shred', context }, async (subject) => {
    subject.key = { source: request.reference, version: request.version, purpose: 'shred' };
    const versions = await admin.list();
    const key = chooseVersion(versions, request);
    subject.key = { ...subject.key, id: key.keyId ?? undefined, version: key.version };
    const chosen = { provider: providerOf(reference), version: key, versions };
    const loss = await foresee(chosen, request, context);
    await request.confirm(loss);
    // Somebody may have taken an hour to confirm.
    refuseNewLoss(loss, await foresee(chosen, request, context));
    await admin.destroy(key);
    return loss;
  });
}

function chooseVersion(versions: readonly KeyVersion[], { reference, version }: ShredRequest): KeyVersion {
  const found = versions.filter(({ keyId, version: name }) => version === name || version === keyId);
  const [key] = found;
  if (key !== undefined && found.length === 1) return key;
  const problem = found.length === 0 ? 'has no version' : 'has several versions';
  throw new BackupError('key', `key ${reference} ${problem} "${version}"`, {
    hint: `See its versions with: librelog-backup keys list --key ${reference}.`,
  });
}

type ChosenKey = ProvidedKey & ListedVersions;

async function foresee(key: ChosenKey, request: ShredRequest, context: UseCaseContext): Promise<KeyLoss> {
  const { stores, force } = request;
  const { backups, damaged } = await readOpenableBackups({ stores, withEarlier: true, signal: context.signal });
  if (!force && damaged > 0) {
    throw new BackupError('policy', `${damaged} manifests are damaged, so nobody can tell what needs the key`, {
      hint: 'Delete these backups first, or say --force.',
    });
  }
  if (!force) for (const store of stores) refuseUnderWay(store, await findUnderWay(store, context));
  const loss = describeLoss(key, backups);
  if (!force && loss.emptied.length > 0) {
    const places = loss.emptied.join(', ');
    throw new BackupError('policy', `key ${key.version.keyId ?? ''} opens the last backups of ${places}`, {
      hint: 'Make a backup with another key first, rewrap them, or say --force.',
    });
  }
  return loss;
}

/** What they are encrypted with shows when they are committed. */
function refuseUnderWay({ url }: ObjectStore, underWay: readonly string[]): void {
  if (underWay.length === 0) return;
  const names = underWay.join(', ');
  throw new BackupError(
    'policy',
    `backups are being made in ${url} that may need the key, or were broken off: ${names}`,
    {
      hint: 'Wait until they are done, or, of broken ones, 24 hours; or say --force.',
    },
  );
}

function refuseNewLoss(confirmed: KeyLoss, { lost }: KeyLoss): void {
  const known = new Set(confirmed.lost.map(describeName));
  const added = lost.map(describeName).filter((name) => !known.has(name));
  if (added.length === 0) return;
  throw new BackupError('conflict', `more backups would be lost than was confirmed: ${added.join(', ')}`, {
    hint: 'They came while you were asked: look at the list again.',
  });
}

function describeName({ label, id, store }: StoredName): string {
  return `${label}/${id} in ${store}`;
}

function describeLoss(key: ChosenKey, backups: readonly OpenableBackup[]): KeyLoss {
  const outlooks = backups.map((backup) => ({ backup, others: otherKeysOf(backup, key) }));
  const used = outlooks.filter(({ backup: { keys, earlierKeys } }) =>
    [...keys, ...earlierKeys].some((one) => isUseOf(one, key)),
  );
  // Of a backup whose recipients are all hidden nobody knows whether anything opens it.
  const kept = new Set(
    outlooks.filter(({ others }) => others.some(({ isEarlier }) => !isEarlier)).map(({ backup }) => placeOf(backup)),
  );
  return {
    key: key.version,
    lost: used.filter(({ others }) => others.length === 0).map(({ backup }) => nameOf(backup)),
    remaining: used
      .filter(({ others }) => others.length > 0)
      .map(({ backup, others }) => ({ ...nameOf(backup), others })),
    emptied: [...new Set(used.map(({ backup }) => placeOf(backup)))].filter((place) => !kept.has(place)),
  };
}

/** What opens a backup without the key, and is not known to be destroyed itself. */
function otherKeysOf({ keys, earlierKeys }: OpenableBackup, key: ChosenKey): readonly OtherKey[] {
  return [
    ...keys.map((other) => ({ ...other, isEarlier: false })),
    ...earlierKeys.map((other) => ({ ...other, isEarlier: true })),
  ].filter((other) => !isUseOf(other, key) && !isGone(other, key));
}

function placeOf({ label, store }: OpenableBackup): string {
  return `"${label}" in ${store}`;
}

function nameOf({ label, id, store }: OpenableBackup): StoredName {
  return { label, id, store };
}
