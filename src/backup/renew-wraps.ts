import { stat } from 'node:fs/promises';
import { describeError } from '../core/backup-error.ts';
import { identifyKey, isSameKey } from '../core/key-identity.ts';
import type { WrapContext } from '../core/key-wrapper.ts';
import type { Secret } from '../core/secret.ts';
import type { WrappedKey } from '../core/wrapped-key.ts';
import { maxWrappedKeys } from '../crypto/data-key.ts';
import { isSecret, parseKeyReference } from '../keys/secret-reference.ts';
import { openKey } from './open-key.ts';
import type { UseCaseContext } from './use-case-context.ts';

export interface WrapsToRenew {
  readonly dataKey: Secret;
  readonly backup: WrapContext;
  /** References of the keys. */
  readonly keys: readonly string[];
  /** One of each key, in their order, then those of passphrases. */
  readonly wrappedKeys: readonly WrappedKey[];
}

/**
 * Wraps the data key again, hours after a backup began, with the same keys, which may be rotated by then, and what wrapped
 * destroyed. What another version wraps comes before what is there; what the same one wraps is left out. It takes no
 * right that the first time did not take. A service that cannot be asked now, for it is away or a login has ended, is no
 * reason to throw hours of work away: a warning says so. Errors: `key` (a key file does not wrap any more).
 */
export async function renewWraps(wraps: WrapsToRenew, context: UseCaseContext): Promise<WrappedKey[]> {
  const { keys, wrappedKeys } = wraps;
  const current = [...wrappedKeys];
  const renewed: WrappedKey[] = [];
  for (const [index, reference] of keys.entries()) {
    if (await isReadOnce(reference)) continue;
    const again = await wrapAgain(reference, wraps, context);
    const before = wrappedKeys[index];
    if (again === null || (before !== undefined && isSameKey(identifyKey(before), identifyKey(again)))) continue;
    current[index] = again;
    renewed.push(again);
  }
  const all = [...renewed, ...wrappedKeys];
  return all.length > maxWrappedKeys ? current : all;
}

/** `null`: the key's service cannot be asked now. */
async function wrapAgain(
  reference: string,
  { dataKey, backup }: WrapsToRenew,
  context: UseCaseContext,
): Promise<WrappedKey | null> {
  try {
    using key = await openKey(reference, withoutWarnings(context));
    return await key.wrap(dataKey, backup);
  } catch (error) {
    context.signal.throwIfAborted();
    if (parseKeyReference(reference).scheme === 'file') throw error;
    const problem = describeError(error);
    context.log.warn({ problem }, 'cannot look whether the key is still the one that it was when the backup began');
    return null;
  }
}

/** Variables and commands keep no versions, and a command or a pipe may give the key only once. */
async function isReadOnce(text: string): Promise<boolean> {
  const reference = parseKeyReference(text);
  if (!isSecret(reference)) return false;
  if (reference.scheme !== 'file') return reference.scheme === 'env' || reference.scheme === 'exec';
  const found = await stat(reference.location).catch(() => null);
  return found !== null && !found.isFile();
}

/** They were said when the backup began. */
function withoutWarnings(context: UseCaseContext): UseCaseContext {
  const { log } = context;
  return {
    ...context,
    log: {
      debug: (fields, message) => log.debug(fields, message),
      info: (fields, message) => log.info(fields, message),
      warn: () => {},
    },
  };
}
