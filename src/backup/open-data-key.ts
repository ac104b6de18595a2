import type { Manifest } from '../catalog/manifest.ts';
import { BackupError } from '../core/backup-error.ts';
import { identifyKey, type KeyIdentity } from '../core/key-identity.ts';
import type { KeyOpener, WrapContext } from '../core/key-wrapper.ts';
import type { Secret } from '../core/secret.ts';
import type { WrappedKey } from '../core/wrapped-key.ts';
import { unwrapDataKey, type Unlockers } from '../crypto/data-key.ts';
import { checkMac } from './open-decryption.ts';

/** The data key of an AES backup whose manifest is as it was sealed. Dispose wipes the data key. */
export interface OpenedDataKey extends Disposable {
  readonly dataKey: Secret;
  readonly backup: WrapContext;
  readonly wrappedKeys: readonly WrappedKey[];
  readonly openedBy: KeyIdentity;
}

/** Unwraps the data key and checks the seal. Errors: `key` (nothing opens it), `integrity`. */
export async function openDataKey(manifest: Manifest, unlockers: Unlockers): Promise<OpenedDataKey> {
  if (manifest.encryption.method === 'openpgp') throw new BackupError('bug', 'OpenPGP backups have no data key');
  const { wrappedKeys } = manifest.encryption;
  const backup = { backupId: manifest.id, label: manifest.label };
  let openedBy: KeyIdentity = { provider: 'passphrase' };
  const keys = unlockers.keys?.map((key) => noteUnwrap(key, (wrapped) => (openedBy = identifyKey(wrapped)))) ?? [];
  const dataKey = await unwrapDataKey(wrappedKeys, { ...unlockers, keys }, backup);
  try {
    await checkMac(manifest, dataKey);
  } catch (error) {
    dataKey[Symbol.dispose]();
    throw error;
  }
  return { dataKey, backup, wrappedKeys, openedBy, [Symbol.dispose]: () => dataKey[Symbol.dispose]() };
}

/** The same key, which stays its owner's; `note` gets what it has opened. */
function noteUnwrap(key: KeyOpener, note: (wrapped: WrappedKey) => void): KeyOpener {
  return {
    name: key.name,
    unwrap: async (wrapped, context) => {
      const dataKey = await key.unwrap(wrapped, context);
      if (dataKey !== null) note(wrapped);
      return dataKey;
    },
    [Symbol.dispose]: () => {},
  };
}
