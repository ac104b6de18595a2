import { BackupError } from '../core/backup-error.ts';
import type { KeyWrapper } from '../core/key-wrapper.ts';
import type { Secret } from '../core/secret.ts';
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
export function createRawKey({ secret, keyId, version }: RawKey): KeyWrapper {
  return {
    name: `key ${keyId}`,
    wrap: async (dataKey) => {
      const keyVersion = version === undefined ? {} : { keyVersion: version };
      const wrapped = wrapKey(dataKey, secret);
      return await Promise.resolve({ provider: 'key', keyId, ...keyVersion, algorithm: 'A256KW', wrapped });
    },
    unwrap: async (wrapped) => {
      if (wrapped.provider !== 'key' || wrapped.keyId !== keyId) return null;
      const dataKey = unwrapKey(wrapped.wrapped, secret);
      if (dataKey !== null) return await Promise.resolve(dataKey);
      throw new BackupError('integrity', `wrapped data key is damaged: key ${keyId} made it but does not open it`);
    },
    [Symbol.dispose]: () => secret[Symbol.dispose](),
  };
}
