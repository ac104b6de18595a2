import { randomBytes } from 'node:crypto';
import { BackupError } from '../core/backup-error.ts';
import { describeKey, identifyKey } from '../core/key-identity.ts';
import { Secret } from '../core/secret.ts';
import type { KeyOpener, KeyWrapper, WrapContext } from '../core/key-wrapper.ts';
import type { WrappedKey } from '../core/wrapped-key.ts';
import { unwrapKey, wrapKey } from './key-wrap.ts';
import { createPassphraseKdf, derivePassphraseKey } from './passphrase-key.ts';

/** What can unwrap a data key. All of it stays the caller's. */
export interface Unlockers {
  readonly keys?: readonly KeyOpener[];
  readonly passphrases?: readonly Secret[];
}

/** What can wrap one as well. */
export interface Wrappers extends Unlockers {
  readonly keys?: readonly KeyWrapper[];
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
export async function wrapDataKey(dataKey: Secret, wrappers: Wrappers, context: WrapContext): Promise<WrappedKey[]> {
  const wrapped: WrappedKey[] = [];
  for (const key of wrappers.keys ?? []) wrapped.push(await key.wrap(dataKey, context));
  for (const passphrase of wrappers.passphrases ?? []) {
    wrapped.push(await wrapWithPassphrase(dataKey, passphrase));
  }
  return wrapped;
}

/**
 * The data key, by the first of the wrapped keys that something at hand opens: keys before passphrases (each with each).
 * A key that fails does not keep another one from opening it. Errors: `key` when nothing opens it, with what is wanted
 * and what is at hand; `integrity` when a key does not open what it wrapped, when there are more than 16, or when
 * passphrase parameters are out of bounds.
 */
export async function unwrapDataKey(
  wrappedKeys: readonly WrappedKey[],
  unlockers: Unlockers,
  context: WrapContext,
): Promise<Secret> {
  if (wrappedKeys.length > maxWrappedKeys) {
    throw new BackupError(
      'integrity',
      `data key is wrapped ${wrappedKeys.length} times; ${maxWrappedKeys} is the most`,
    );
  }
  const byKeys = await unwrapWithKeys(wrappedKeys, unlockers, context);
  const dataKey = byKeys.dataKey ?? (await unwrapWithPassphrases(wrappedKeys, unlockers));
  if (dataKey !== null) return dataKey;
  throw describeMisfit({ wrappedKeys, unlockers, failures: byKeys.failures });
}

async function wrapWithPassphrase(dataKey: Secret, passphrase: Secret): Promise<WrappedKey> {
  const kdf = createPassphraseKdf();
  using key = await derivePassphraseKey(passphrase, kdf);
  return { provider: 'passphrase', algorithm: 'A256KW', kdf, wrapped: wrapKey(dataKey, key) };
}

interface Attempt {
  readonly dataKey: Secret | null;
  readonly failures: readonly BackupError[];
}

async function unwrapWithKeys(
  wrappedKeys: readonly WrappedKey[],
  { keys = [] }: Unlockers,
  context: WrapContext,
): Promise<Attempt> {
  const failures: BackupError[] = [];
  for (const wrapped of wrappedKeys) {
    for (const key of keys) {
      try {
        const dataKey = await key.unwrap(wrapped, context);
        if (dataKey !== null) return { dataKey, failures };
      } catch (error) {
        if (!(error instanceof BackupError) || !isKeyFailure(error)) throw error;
        failures.push(error);
      }
    }
  }
  return { dataKey: null, failures };
}

/** Another key may still open the backup. */
function isKeyFailure({ kind }: BackupError): boolean {
  return kind === 'key' || kind === 'integrity';
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

interface Misfit {
  readonly wrappedKeys: readonly WrappedKey[];
  readonly unlockers: Unlockers;
  readonly failures: readonly BackupError[];
}

/** What a key that knows the wrapped key says of it is worth more than that none fits. */
function describeMisfit({ wrappedKeys, unlockers, failures }: Misfit): BackupError {
  const { keys = [], passphrases = [] } = unlockers;
  const failure = failures.find(({ kind }) => kind === 'integrity') ?? failures[0];
  if (failure !== undefined) return failure;
  const takesPassphrase = wrappedKeys.some((wrapped) => wrapped.provider === 'passphrase');
  const wanted = describeAlternatives(wrappedKeys.map((wrapped) => describeKey(identifyKey(wrapped))));
  const held = describeAlternatives([...keys.map(({ name }) => name), ...passphrases.map(() => 'a passphrase')]);
  const wrong = takesPassphrase && passphrases.length > 0 ? ', and the passphrase is wrong' : '';
  return new BackupError('key', `no key fits: the backup wants ${wanted}; at hand: ${held}${wrong}`, {
    hint: 'Give the key or passphrase that the backup was made with.',
  });
}

function describeAlternatives(names: readonly string[]): string {
  return [...new Set(names)].join(' or ') || 'nothing';
}
