import { Catalog, objectKey, type BackupName, type CatalogEntry } from '../catalog/catalog.ts';
import type { Manifest, ManifestObject } from '../catalog/manifest.ts';
import { BackupError } from '../core/backup-error.ts';
import type { KeyIdentity } from '../core/key-identity.ts';
import { createAesDecrypter } from '../crypto/aes-container.ts';
import type { Decrypter } from '../crypto/cipher.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { audited } from './audited.ts';
import { forEachBackup, isOfOneBackup } from './for-each-backup.ts';
import { nameDamage } from './name-damage.ts';
import { openDataKey } from './open-data-key.ts';
import {
  checkSignature,
  openOpenPgpDecryption,
  refuseUnsigned,
  type BackupDecryption,
  type DecryptionRequest,
} from './open-decryption.ts';
import { prepareAudit } from './prepare-audit.ts';
import { readUnlockers, type ReadUnlockers } from './read-secrets.ts';
import type { UseCaseContext } from './use-case-context.ts';

export interface VerifyKeysRequest {
  readonly store: ObjectStore;
  readonly label?: string | undefined;
  readonly keys: DecryptionRequest;
}

/** Whether what is at hand opens one backup, and what did. */
export type VerifiedKey = BackupName &
  (
    | { readonly outcome: 'opened'; readonly openedBy: KeyIdentity | { readonly provider: 'openpgp' } }
    | { readonly outcome: 'failed'; readonly problem: BackupError }
  );

/**
 * What is enough of an object to open its beginning. AES: container header, first segment, and one byte by which it is
 * seen that more follow. OpenPGP: its packets for the recipients, and some of what they open.
 */
const beginningBytes = 12 + 64 * 1024 + 32 + 1024 * 1024 + 1;

/**
 * Proves for each backup that today's keys open it: unwraps its data key, checks the seal, and decrypts the beginning of
 * each object. At most 8 backups at once. A backup that fails (`key`, `integrity`) is reported, and the others go on.
 * Errors: `config`, `key` (a passphrase), those of the store.
 */
export async function verifyKeys(request: VerifyKeysRequest, context: UseCaseContext): Promise<readonly VerifiedKey[]> {
  const catalog = new Catalog(request.store);
  using openers = await openOpeners(request.keys, context);
  const prepared = await prepareAudit(context);
  return await forEachBackup({
    backups: await catalog.names({ label: request.label }),
    signal: context.signal,
    takesPassphrases: request.keys.passphrase !== undefined,
    work: async (backup, signal) => {
      const entry = await catalog.read(backup);
      if (entry === null) return null;
      return await verifyEntry(entry, { ...request, openers, context: { ...prepared, signal } });
    },
  });
}

interface Verification extends VerifyKeysRequest {
  readonly openers: Openers;
  readonly context: UseCaseContext;
}

/** What opens all backups: each key is asked for once, and only when a backup needs it. */
interface Openers extends Disposable {
  readonly unlockers: ReadUnlockers;
  openPgp(): Promise<BackupDecryption>;
}

async function openOpeners(request: DecryptionRequest, context: UseCaseContext): Promise<Openers> {
  const unlockers = await readUnlockers(request, context);
  let openPgp: Promise<BackupDecryption> | null = null;
  return {
    unlockers,
    openPgp: async () => {
      openPgp ??= openOpenPgpDecryption({ ...request, requireSignature: false }, context);
      return await openPgp;
    },
    [Symbol.dispose]: () => {
      unlockers[Symbol.dispose]();
      void openPgp?.then(
        (decryption) => decryption[Symbol.dispose](),
        () => {},
      );
    },
  };
}

async function verifyEntry(entry: CatalogEntry, verification: Verification): Promise<VerifiedKey> {
  const { label, id } = entry;
  const { context, store } = verification;
  try {
    return await audited({ action: 'verify', context }, async (subject) => {
      subject.backup = { id, label, store: store.url };
      if (entry.problem !== null) throw entry.problem;
      return { label, id, outcome: 'opened', openedBy: await openBeginnings(entry.manifest, verification) };
    });
  } catch (error) {
    if (!isOfOneBackup(error)) throw error;
    return { label, id, outcome: 'failed', problem: error };
  }
}

async function openBeginnings(
  manifest: Manifest,
  verification: Verification,
): Promise<KeyIdentity | { readonly provider: 'openpgp' }> {
  const { keys, openers, context } = verification;
  if (manifest.encryption.method === 'openpgp') {
    if (keys.signers !== undefined || keys.requireSignature === true) await checkSignature(manifest, keys, context);
    const { decrypter } = await openers.openPgp();
    await openObjects(manifest, decrypter, verification);
    return { provider: 'openpgp' };
  }
  refuseUnsigned(manifest, keys);
  using opened = await openDataKey(manifest, openers.unlockers);
  await openObjects(manifest, createAesDecrypter(opened), verification);
  return opened.openedBy;
}

async function openObjects(manifest: Manifest, decrypter: Decrypter, verification: Verification): Promise<void> {
  for (const object of manifest.objects) await openObject(manifest, object, { ...verification, decrypter });
}

/** The first chunk of plaintext comes only when the key is right; of AES objects it is authenticated. */
async function openObject(
  manifest: Manifest,
  object: ManifestObject,
  { store, decrypter, context }: Verification & { readonly decrypter: Decrypter },
): Promise<void> {
  const key = objectKey(manifest, object.name);
  const decrypt = decrypter.decrypt({ backupId: manifest.id, objectName: object.name });
  const beginning = decrypt(store.get(key, { end: beginningBytes, signal: context.signal }));
  try {
    for await (const _ of nameDamage(`object "${key}"`, beginning)) break;
  } catch (error) {
    if (!(error instanceof BackupError) || error.kind !== 'notFound') throw error;
    throw new BackupError('integrity', `object "${key}" is missing from "${store.url}"`, {
      hint: 'Make a new backup, and find out who or what removed this one.',
      cause: error,
    });
  }
}
