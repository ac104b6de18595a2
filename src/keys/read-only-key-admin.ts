import { BackupError } from '../core/backup-error.ts';
import type { KeyAdmin, KeyVersion } from './key-admin.ts';
import { readKeyring } from './read-key-encryption-key.ts';
import type { SecretAccess } from './read-secret.ts';
import type { SecretReference } from './secret-reference.ts';

/** Keys of places that can only be read: what is there now, and nothing can be changed. */
export async function openReadOnlyKeyAdmin(reference: SecretReference, access: SecretAccess): Promise<KeyAdmin> {
  const refuse = async (): Promise<never> =>
    await Promise.reject(
      new BackupError('usage', `${reference.text} can be read, but not changed from here`, {
        hint: 'Change the key where it is kept.',
      }),
    );
  return await Promise.resolve({
    name: reference.text,
    list: async () => await listPresentKeys(reference, access),
    generate: refuse,
    rotate: refuse,
    destroy: refuse,
    [Symbol.dispose]: () => {},
  });
}

/** The key or keyring that a reference names, of a place without versions. Fails as `KeyAdmin.list`. */
export async function listPresentKeys({ text }: SecretReference, access: SecretAccess): Promise<readonly KeyVersion[]> {
  const read = await readKeyring(text, access);
  using keyring = read.keyring;
  return keyring.keys.map(({ id, state, createdAt }) => {
    const made = createdAt === null ? null : new Date(createdAt);
    return { keyId: id, ...(read.isKeyring && { version: id }), createdAt: made, state };
  });
}
