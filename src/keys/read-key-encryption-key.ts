import type { Secret } from '../core/secret.ts';
import type { Keyring } from './keyring.ts';
import { isKeyringText } from './keyring.ts';
import { parseKeyring, selectKeyringKey } from './parse-keyring.ts';
import { readSecret } from './read-secret.ts';
import type { SecretAccess } from './read-secret.ts';
import { parseSecretReference, splitKeyId } from './secret-reference.ts';

export interface KeyEncryptionKeyRead {
  /** 32 bytes; the caller disposes of it. */
  readonly secret: Secret;
  readonly keyId: string;
  /**
   * What has to stand after `@` to get the same key again: its id where the secret is a keyring; otherwise the version
   * that its source gave it, where the source keeps versions.
   */
  readonly version?: string;
  readonly warnings: readonly string[];
}

/**
 * The raw key that a secret reference names: a plain key; of a keyring its active key, or the one whose id stands after
 * `@`. Errors: `config` (the reference), `key` (what it names).
 */
export async function readKeyEncryptionKey(referenceText: string, access: SecretAccess): Promise<KeyEncryptionKeyRead> {
  const { source, keyId: wanted } = splitKeyId(parseSecretReference(referenceText));
  const { secret: content, version, warnings } = await readSecret(source, access);
  using text = content;
  const { secret, id, isOfKeyring } = selectKeyringKey(text, { id: wanted, name: source.text });
  const found = isOfKeyring ? id : version;
  return { secret, keyId: id, ...(found !== undefined && { version: found }), warnings };
}

export interface KeyringRead {
  /** The caller disposes of it. */
  readonly keyring: Keyring;
  /** Of a plain key, where its source keeps versions. */
  readonly version?: string;
  readonly warnings: readonly string[];
}

/**
 * All keys that a secret reference names: those of a keyring, or one active key. After `@` may stand a version of the
 * source. Errors: `config` (the reference), `key` (what it names).
 */
export async function readKeyring(referenceText: string, access: SecretAccess): Promise<KeyringRead> {
  const reference = parseSecretReference(referenceText);
  const { secret, version, warnings } = await readSecret(reference, access);
  using text = secret;
  const keyring = parseKeyring(text, reference.text);
  return { keyring, ...(version !== undefined && !isKeyringText(text) && { version }), warnings };
}
