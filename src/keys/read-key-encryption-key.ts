import type { Secret } from '../core/secret.ts';
import { toKeyId } from './key-id.ts';
import { parseKeyMaterial } from './key-material.ts';
import { readSecret } from './read-secret.ts';
import type { SecretAccess } from './read-secret.ts';
import { parseSecretReference } from './secret-reference.ts';

export interface KeyEncryptionKeyRead {
  /** 32 bytes; the caller disposes of it. */
  readonly secret: Secret;
  readonly keyId: string;
  /** The version that its source gave it, where the source keeps versions. */
  readonly version?: string;
  readonly warnings: readonly string[];
}

/** The raw key that a secret reference names. Errors: `config` (the reference), `key` (what it names). */
export async function readKeyEncryptionKey(referenceText: string, access: SecretAccess): Promise<KeyEncryptionKeyRead> {
  const reference = parseSecretReference(referenceText);
  const read = await readSecret(reference, access);
  using text = read.secret;
  const secret = parseKeyMaterial(text, reference.text);
  return { ...read, secret, keyId: toKeyId(secret) };
}
