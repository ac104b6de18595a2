import type { WrappedKey } from './wrapped-key.ts';

/** Which key wrapped a data key, as far as that is public. Passphrases cannot be told apart. */
export interface KeyIdentity {
  readonly provider: WrappedKey['provider'];
  readonly keyId?: string;
  readonly keyVersion?: string;
}

export function identifyKey(wrapped: WrappedKey): KeyIdentity {
  if (wrapped.provider === 'passphrase') return { provider: 'passphrase' };
  const { provider, keyId, keyVersion } = wrapped;
  return { provider, keyId, ...(keyVersion !== undefined && { keyVersion }) };
}

/** Whether the very same version of one key made both. Passphrases are never known to be the same. */
export function isSameKey(one: KeyIdentity, other: KeyIdentity): boolean {
  const { provider, keyId, keyVersion } = one;
  if (provider === 'passphrase') return false;
  return provider === other.provider && keyId === other.keyId && keyVersion === other.keyVersion;
}

/** In words: `key 1f2e… (version 3)`, `aws-kms arn:…`, `a passphrase`. */
export function describeKey({ provider, keyId, keyVersion }: KeyIdentity): string {
  if (keyId === undefined) return 'a passphrase';
  const version = keyVersion === undefined ? '' : ` (version ${keyVersion})`;
  return `${provider === 'key' ? 'key' : provider} ${keyId}${version}`;
}
