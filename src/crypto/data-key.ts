import { randomBytes } from 'node:crypto';
import { BackupError } from '../core/backup-error.ts';
import { Secret } from '../core/secret.ts';
import type { WrappedKey } from '../core/wrapped-key.ts';
import { unwrapKey, wrapKey } from './key-wrap.ts';
import { createPassphraseKdf, derivePassphraseKey } from './passphrase-key.ts';

/** 32 bytes that wrap data keys, and the id that tells them apart from others in public. */
export interface KeyEncryptionKey {
  readonly secret: Secret;
  readonly keyId: string;
}

/** What can wrap or unwrap a data key. All of it stays the caller's. */
export interface Unlockers {
  readonly keys?: readonly KeyEncryptionKey[];
  readonly passphrases?: readonly Secret[];
}

/** More wrapped keys than this make no backup: a forged list of passphrases would cost a scrypt each to try. */
export const maxWrappedKeys = 16;

/** A fresh random key for one backup. */
export function createDataKey(): Secret {
  return new Secret(randomBytes(32));
}

/**
 * The data key wrapped once for each key and passphrase, in that order; any one of them opens the backup. A passphrase
 * takes some 0.3 s and 64 MiB for as long.
 */
export async function wrapDataKey(dataKey: Secret, unlockers: Unlockers): Promise<WrappedKey[]> {
  const wrapped: WrappedKey[] = [];
  for (const { secret, keyId } of unlockers.keys ?? []) {
    wrapped.push({ provider: 'key', keyId, algorithm: 'A256KW', wrapped: wrapKey(dataKey, secret) });
  }
  for (const passphrase of unlockers.passphrases ?? []) {
    wrapped.push(await wrapWithPassphrase(dataKey, passphrase));
  }
  return wrapped;
}

/**
 * The data key, by the first of the wrapped keys that something at hand opens: keys (by id) before passphrases (each
 * with each). Errors: `key` when nothing fits, with the key ids wanted and at hand; `integrity` when a key of the right
 * id does not open what it wrapped, when there are more than 16, or when passphrase parameters are out of bounds.
 */
export async function unwrapDataKey(wrappedKeys: readonly WrappedKey[], unlockers: Unlockers): Promise<Secret> {
  if (wrappedKeys.length > maxWrappedKeys) {
    throw new BackupError(
      'integrity',
      `data key is wrapped ${wrappedKeys.length} times; ${maxWrappedKeys} is the most`,
    );
  }
  const dataKey = unwrapWithKeys(wrappedKeys, unlockers) ?? (await unwrapWithPassphrases(wrappedKeys, unlockers));
  if (dataKey === null) throw describeMisfit(wrappedKeys, unlockers);
  return dataKey;
}

async function wrapWithPassphrase(dataKey: Secret, passphrase: Secret): Promise<WrappedKey> {
  const kdf = createPassphraseKdf();
  using key = await derivePassphraseKey(passphrase, kdf);
  return { provider: 'passphrase', algorithm: 'A256KW', kdf, wrapped: wrapKey(dataKey, key) };
}

function unwrapWithKeys(wrappedKeys: readonly WrappedKey[], { keys = [] }: Unlockers): Secret | null {
  for (const wrapped of wrappedKeys) {
    if (wrapped.provider !== 'key') continue;
    const key = keys.find((key) => key.keyId === wrapped.keyId);
    const dataKey = key && unwrapKey(wrapped.wrapped, key.secret);
    if (dataKey) return dataKey;
  }
  return null;
}

async function unwrapWithPassphrases(
  wrappedKeys: readonly WrappedKey[],
  { passphrases = [] }: Unlockers,
): Promise<Secret | null> {
  for (const wrapped of wrappedKeys) {
    if (wrapped.provider !== 'passphrase') continue;
    for (const passphrase of passphrases) {
      using key = await derivePassphraseKey(passphrase, wrapped.kdf);
      const dataKey = unwrapKey(wrapped.wrapped, key);
      if (dataKey) return dataKey;
    }
  }
  return null;
}

function describeMisfit(wrappedKeys: readonly WrappedKey[], { keys = [], passphrases = [] }: Unlockers): BackupError {
  const wantedIds = wrappedKeys.flatMap((wrapped) => (wrapped.provider === 'key' ? [wrapped.keyId] : []));
  const heldIds = keys.map((key) => key.keyId);
  const damagedId = heldIds.find((keyId) => wantedIds.includes(keyId));
  if (damagedId !== undefined) {
    return new BackupError('integrity', `wrapped data key is damaged: key ${damagedId} made it but does not open it`);
  }
  const takesPassphrase = wrappedKeys.some((wrapped) => wrapped.provider === 'passphrase');
  const wanted = describeUnlockers(wantedIds, takesPassphrase ? 'a passphrase' : '');
  const held = describeUnlockers(heldIds, passphrases.length > 0 ? 'a passphrase' : '');
  const wrong = takesPassphrase && passphrases.length > 0 ? ', and the passphrase is wrong' : '';
  return new BackupError('key', `no key fits: the backup wants ${wanted}; at hand: ${held}${wrong}`, {
    hint: 'Give the key or passphrase that the backup was made with.',
  });
}

function describeUnlockers(keyIds: readonly string[], passphrase: string): string {
  const parts = keyIds.length > 0 ? [`key ${keyIds.join(' or ')}`] : [];
  if (passphrase !== '') parts.push(passphrase);
  return parts.join(' or ') || 'nothing';
}
