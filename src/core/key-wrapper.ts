import type { Secret } from './secret.ts';
import type { WrappedKey } from './wrapped-key.ts';

/** The backup whose data key is wrapped. Services that can bind it to the wrapped key do: it opens for no other backup. */
export interface WrapContext {
  readonly backupId: string;
  readonly label: string;
}

/**
 * One thing at hand that may open the data keys of backups: a raw key, a passphrase, a key that never leaves its service.
 *
 * - `unwrap` answers `null` when the wrapped key is not its own (another provider, another key id), and throws when it is
 *   and cannot be opened: `key` when the key is missing, disabled, destroyed or refused, or its service does not answer,
 *   naming key and version; `integrity` when the wrapped key was changed, belongs to another context, or holds something
 *   else than 32 bytes. The data key is the caller's to dispose of.
 * - It asks for exactly the key version that the wrapped key names, and fetches each version once, however many wrapped
 *   keys it opens and however many of them at once.
 * - Transient faults (throttling, 5xx, cut connections) are retried inside.
 */
export interface KeyOpener extends Disposable {
  /** Names it in messages: the reference as the user wrote it, with key id or version where known; never a secret. */
  readonly name: string;
  unwrap(wrapped: WrappedKey, context: WrapContext): Promise<Secret | null>;
}

/** What can also wrap: with the newest version of its key, which the wrapped key then names. Errors: `key`. */
export interface KeyWrapper extends KeyOpener {
  wrap(dataKey: Secret, context: WrapContext): Promise<WrappedKey>;
  /** When the version that wraps now was made. `null`: its place does not say, or does not let us ask; it never fails. */
  createdAt?(): Promise<Date | null>;
}
