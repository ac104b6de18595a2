import { BackupError } from '../core/backup-error.ts';
import { generateKeyFile } from './generate-key-file.ts';
import type { KeyAdmin, KeyVersion } from './key-admin.ts';
import { destroyKeyInFile, readKeyringFile, rotateKeyringFile } from './keyring-file.ts';
import type { KeyringKey } from './keyring.ts';
import { refusePinnedKey } from './refuse-pinned-key.ts';
import type { SecretReference } from './secret-reference.ts';

/**
 * The keys of a key file or keyring file, oldest first; ids are their versions. The first rotation makes a keyring of a
 * plain key file. Fails with `usage` for a field of a JSON file, which can only be read.
 */
export async function openFileKeyAdmin(reference: SecretReference): Promise<KeyAdmin> {
  refusePinnedKey(reference);
  if (reference.field !== undefined) {
    throw new BackupError('usage', `${reference.text} is a field of a file, and only whole files are looked after`, {
      hint: 'Keep the key in a file of its own.',
    });
  }
  return await Promise.resolve(new FileKeyAdmin(reference));
}

class FileKeyAdmin implements KeyAdmin {
  readonly name: string;
  readonly #path: string;

  constructor({ text, location }: SecretReference) {
    this.name = text;
    this.#path = location;
  }

  async list(): Promise<readonly KeyVersion[]> {
    const { keyring: read } = await readKeyringFile(this.#path);
    using keyring = read;
    return keyring.keys.map(toVersion);
  }

  async generate(): Promise<KeyVersion> {
    const now = new Date();
    const { keyId } = await generateKeyFile(this.#path, { now });
    return { keyId, version: keyId, createdAt: now, state: 'active' };
  }

  async rotate(): Promise<KeyVersion> {
    const now = new Date();
    const { keyId } = await rotateKeyringFile(this.#path, { now });
    return { keyId, version: keyId, createdAt: now, state: 'active' };
  }

  async destroy({ keyId }: KeyVersion): Promise<void> {
    await destroyKeyInFile(this.#path, keyId ?? '', { now: new Date() });
  }

  [Symbol.dispose](): void {}
}

function toVersion({ id, createdAt, state }: KeyringKey): KeyVersion {
  return { keyId: id, version: id, createdAt: createdAt === null ? null : new Date(createdAt), state };
}
