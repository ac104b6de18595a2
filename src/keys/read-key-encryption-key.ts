import type { Secret } from '../core/secret.ts';
import type { Keyring } from './keyring.ts';
import { createKeyring, findActiveKey, isKeyringText } from './keyring.ts';
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
  /** A plain key is none, though it is read as one. */
  readonly isKeyring: boolean;
  /** Of a plain key, where its source keeps versions. */
  readonly version?: string;
  /** When the active key was made, as the keyring or the key's source says. */
  readonly activeSince: Date | null;
  readonly warnings: readonly string[];
}

/**
 * All keys that a secret reference names: those of a keyring; a plain key is a keyring of one active key, and so is the
 * one of the id that stands after `@`. Errors: `config` (the reference), `key` (what it names).
 */
export async function readKeyring(referenceText: string, access: SecretAccess): Promise<KeyringRead> {
  const { source, keyId: wanted } = splitKeyId(parseSecretReference(referenceText));
  const { secret: content, version, createdAt, warnings } = await readSecret(source, access);
  using text = content;
  const keyring = wanted === undefined ? parseKeyring(text, source.text) : selectAlone(text, wanted, source.text);
  const isKeyring = isKeyringText(text);
  const ofKeyring = findActiveKey(keyring).createdAt;
  const activeSince = ofKeyring === null ? ((isKeyring ? undefined : createdAt) ?? null) : new Date(ofKeyring);
  return { keyring, isKeyring, ...(version !== undefined && !isKeyring && { version }), activeSince, warnings };
}

function selectAlone(text: Secret, id: string, name: string): Keyring {
  const { secret, createdAt } = selectKeyringKey(text, { id, name });
  return createKeyring(secret, createdAt);
}
