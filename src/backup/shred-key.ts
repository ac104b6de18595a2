import type { BackupName } from '../catalog/catalog.ts';
import { BackupError } from '../core/backup-error.ts';
import type { KeyVersion } from '../keys/key-admin.ts';
import { openKeyAdmin } from '../keys/open-key-admin.ts';
import { audited } from './audited.ts';
import {
  opens,
  opensAlone,
  providerOf,
  readOpenableBackups,
  type OpenableBackup,
  type ProvidedKey,
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
  /** Nothing else opens them. */
  readonly lost: readonly (BackupName & { readonly store: string })[];
  /** Another key opens them as well, if whoever has it still does. */
  readonly remaining: readonly (BackupName & { readonly store: string })[];
  /** Labels, with their store, of which no backup would be left. */
  readonly emptied: readonly string[];
}

/**
 * Destroys one version of a key, and with it all backups that nothing else opens. Errors: `key` (no such version), `policy`
 * (it opens the last backups of a label, or a manifest cannot be read), as `KeyAdmin.destroy`, `config`, of the stores.
 */
export async function shredKey(request: ShredRequest, context: UseCaseContext): Promise<KeyLoss> {
  const reference = await parseAudited({ reference: request.reference, purpose: 'shred', context });
  using admin = await openKeyAdmin(reference, context);
  return await audited({ action: 'shred', context }, async (subject) => {
    subject.key = { source: request.reference, version: request.version, purpose: 'shred' };
    const key = chooseVersion(await admin.list(), request);
    subject.key = { ...subject.key, id: key.keyId ?? undefined, version: key.version };
    const loss = await foresee({ provider: providerOf(reference), version: key }, request, context);
    await request.confirm(loss);
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

async function foresee(key: ProvidedKey, { stores, force }: ShredRequest, context: UseCaseContext): Promise<KeyLoss> {
  const { backups, damaged } = await readOpenableBackups({ stores, signal: context.signal });
  const lost = backups.filter((backup) => opensAlone(key, backup));
  const others = backups.filter((backup) => !opensAlone(key, backup));
  const kept = new Set(others.map(placeOf));
  const emptied = [...new Set(lost.map(placeOf))].filter((place) => !kept.has(place));
  if (!force && damaged > 0) {
    throw new BackupError('policy', `${damaged} manifests are damaged, so nobody can tell what needs the key`, {
      hint: 'Delete these backups first, or say --force.',
    });
  }
  if (!force && emptied.length > 0) {
    throw new BackupError('policy', `key ${key.version.keyId ?? ''} opens the last backups of ${emptied.join(', ')}`, {
      hint: 'Make a backup with another key first, rewrap them, or say --force.',
    });
  }
  const remaining = others.filter((backup) => opens(key, backup));
  return { key: key.version, lost: lost.map(nameOf), remaining: remaining.map(nameOf), emptied };
}

function placeOf({ label, store }: OpenableBackup): string {
  return `"${label}" in ${store}`;
}

function nameOf({ label, id, store }: OpenableBackup): BackupName & { readonly store: string } {
  return { label, id, store };
}
