import { parsePassphrase } from './key-material.ts';
import { readSecret } from './read-secret.ts';
import type { SecretAccess, SecretRead } from './read-secret.ts';
import { parseSecretReference } from './secret-reference.ts';

/** The passphrase that a secret reference names. Errors: `config` (the reference), `key` (what it names). */
export async function readPassphrase(referenceText: string, access: SecretAccess): Promise<SecretRead> {
  const reference = parseSecretReference(referenceText);
  const read = await readSecret(reference, access);
  using text = read.secret;
  return { secret: parsePassphrase(text, reference.text), warnings: read.warnings };
}
