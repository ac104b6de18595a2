import { BackupError } from '../core/backup-error.ts';
import type { KeyWrapper } from '../core/key-wrapper.ts';
import type { Secret } from '../core/secret.ts';
import type { WrappedKey } from '../core/wrapped-key.ts';
import { unwrapKey, wrapKey } from './key-wrap.ts';

/** 32 bytes that wrap data keys. */
export interface RawKey {
  readonly secret: Secret;
  /** Tells it apart from other keys in public. */
  readonly keyId: string;
  /** Where its source keeps versions: which one this is. */
  readonly version?: string | undefined;
}

/** Wraps with a key at hand, by AES-256 Key Wrap (RFC 3394), and unwraps what that very key wrapped. Dispose wipes it. */
export function createRawKey(key: RawKey): KeyWrapper {
  return {
    name: `key ${key.keyId}`,
    wrap: async (dataKey) => await Promise.resolve(wrapWithRawKey(dataKey, key)),
    unwrap: async (wrapped) => await Promise.resolve(unwrapWithRawKey(wrapped, key)),
    [Symbol.dispose]: () => key.secret[Symbol.dispose](),
  };
}

export function wrapWithRawKey(dataKey: Secret, { secret, keyId, version }: RawKey): WrappedKey {
  const keyVersion = version === undefined ? {} : { keyVersion: version };
  return { provider: 'key', keyId, ...keyVersion, algorithm: 'A256KW', wrapped: wrapKey(dataKey, secret) };
}

/** `null`: another key wrapped it. Fails with `integrity` when this one did, and does not open it. */
export function unwrapWithRawKey(wrapped: WrappedKey, { secret, keyId }: RawKey): Secret | null {
  if (wrapped.provider !== 'key' || wrapped.keyId !== keyId) return null;
  const dataKey = unwrapKey(wrapped.wrapped, secret);
  if (dataKey !== null) return dataKey;
  throw new BackupError('integrity', `wrapped data key is damaged: key ${keyId} made it but does not open it`);
}
