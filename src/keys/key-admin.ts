import type { SecretAccess } from './read-secret.ts';
import type { SecretReference, WrapperReference } from './secret-reference.ts';

/** One version of a key, as the wrapped keys of backups name it. */
export interface KeyVersion {
  /** `keyId` of what it wrapped; `null` where that can no longer be known, because the version is destroyed or disabled. */
  readonly keyId: string | null;
  /** `keyVersion` of what it wrapped; absent where the place keeps no versions, or the service finds it by itself. */
  readonly version?: string;
  /** `null`: the place does not say. */
  readonly createdAt: Date | null;
  /** `active` wraps and opens, `retired` only opens, `disabled` does nothing until it is enabled again, `destroyed` never. */
  readonly state: 'active' | 'retired' | 'disabled' | 'destroyed';
}

/**
 * Looks after one key: 32 bytes in a secret, or a key that stays in its service. It asks for nothing before a call. Every
 * method fails with `key`, naming the reference and never a value, when the key or version is missing, the permission is
 * denied or the service does not answer (transient faults are retried inside); with `config` when the place is not set
 * up; and with `usage` when the place has no such thing, the hint saying how it is done there instead. The signal's
 * reason is thrown as it is.
 */
export interface KeyAdmin extends Disposable {
  /** The reference as the user wrote it. */
  readonly name: string;
  /** All versions that the place still tells of, oldest first. */
  list(): Promise<readonly KeyVersion[]>;
  /** Makes a random key where there is none. Fails with `conflict` when the key is there already, and leaves it alone. */
  generate(): Promise<KeyVersion>;
  /**
   * Makes a new version the active one; the earlier ones go on opening what they wrapped. Two at once: both versions are
   * kept, or one fails with `conflict`. Whole or not at all.
   */
  rotate(): Promise<KeyVersion>;
  /**
   * Destroys one version for good, as far as the place can: what only it opens is lost. Fails with `conflict` for the
   * active version, where older ones remain to be read.
   */
  destroy(version: KeyVersion): Promise<void>;
}

/** Makes a `KeyAdmin`; asks the place for nothing yet. Fails with `config` when its settings are missing or wrong. */
export type KeyAdminOpener<Reference extends SecretReference | WrapperReference> = (
  reference: Reference,
  access: SecretAccess,
) => Promise<KeyAdmin>;
