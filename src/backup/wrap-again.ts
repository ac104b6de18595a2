import { timingSafeEqual } from 'node:crypto';
import { BackupError } from '../core/backup-error.ts';
import { describeKey, identifyKey, isSameKey } from '../core/key-identity.ts';
import type { WrappedKey } from '../core/wrapped-key.ts';
import { maxWrappedKeys, unwrapDataKey, wrapDataKey, type Wrappers } from '../crypto/data-key.ts';
import type { OpenedDataKey } from './open-data-key.ts';

export interface WrapAgainOptions {
  /** Whether what other keys have wrapped stays beside it. */
  readonly keepsOthers: boolean;
}

/**
 * The wrapped keys that a backup is to have, so that each of `targets` opens it: those it has already of the very same
 * versions, and new ones for the others; `null` when nothing is to change. Each of them has opened the data key here,
 * new or not. Errors: `key`, `integrity` (a new one does not open), `config` (more than 16).
 */
export async function wrapAgain(
  opened: OpenedDataKey,
  targets: Wrappers,
  { keepsOthers }: WrapAgainOptions,
): Promise<readonly WrappedKey[] | null> {
  const wanted: WrappedKey[] = [];
  for (const target of separate(targets)) {
    const wrapped = await findOrWrap(opened, target);
    if (!wanted.some((other) => isSameKey(identifyKey(other), identifyKey(wrapped)))) wanted.push(wrapped);
  }
  const { wrappedKeys: existing } = opened;
  const next = keepsOthers ? [...existing, ...wanted.filter((wrapped) => !existing.includes(wrapped))] : wanted;
  if (next.length > maxWrappedKeys) {
    throw new BackupError(
      'config',
      `backup "${opened.backup.backupId}" would have ${next.length} wrapped keys; ${maxWrappedKeys} is the most`,
      { hint: 'Leave out --add, or give fewer keys.' },
    );
  }
  const isSame = next.length === existing.length && next.every((wrapped) => existing.includes(wrapped));
  return isSame ? null : next;
}

/** Each key and passphrase on its own. */
function separate({ keys = [], passphrases = [] }: Wrappers): Wrappers[] {
  return [...keys.map((key) => ({ keys: [key] })), ...passphrases.map((passphrase) => ({ passphrases: [passphrase] }))];
}

/** What the one key or passphrase in `target` has wrapped, or wraps now. */
async function findOrWrap(opened: OpenedDataKey, target: Wrappers): Promise<WrappedKey> {
  const [fresh] = await wrapDataKey(opened.dataKey, target, opened.backup);
  if (fresh === undefined) throw new BackupError('bug', 'a data key was wrapped with nothing');
  for (const wrapped of opened.wrappedKeys) {
    if (mayBeOf(wrapped, fresh) && (await opensIfPossible(wrapped, target, opened))) return wrapped;
  }
  if (await opens(fresh, target, opened)) return fresh;
  throw new BackupError('integrity', `${describeKey(identifyKey(fresh))} does not open what it has just wrapped`, {
    hint: 'Nothing was written: check the key and its service.',
  });
}

function mayBeOf(wrapped: WrappedKey, fresh: WrappedKey): boolean {
  if (fresh.provider === 'passphrase') return wrapped.provider === 'passphrase';
  return isSameKey(identifyKey(wrapped), identifyKey(fresh));
}

async function opens(wrapped: WrappedKey, target: Wrappers, { dataKey, backup }: OpenedDataKey): Promise<boolean> {
  using again = await unwrapDataKey([wrapped], target, backup);
  return again.sizeBytes === dataKey.sizeBytes && timingSafeEqual(again.reveal(), dataKey.reveal());
}

/** What fails to open is not there: another passphrase has made it, or it is damaged. */
async function opensIfPossible(wrapped: WrappedKey, target: Wrappers, opened: OpenedDataKey): Promise<boolean> {
  try {
    return await opens(wrapped, target, opened);
  } catch (error) {
    if (error instanceof BackupError && (error.kind === 'key' || error.kind === 'integrity')) return false;
    throw error;
  }
}
