import { BackupError } from '../core/backup-error.ts';
import type { KeyAdmin, KeyVersion } from './key-admin.ts';
import type { SecretAccess } from './read-secret.ts';
import { refusePinnedKey } from './refuse-pinned-key.ts';
import type { WrapperReference } from './secret-reference.ts';
import { openVaultClient } from './vault-client.ts';
import {
  describeRefusal,
  missingKey,
  transitAlgorithm,
  type TransitCall,
  type TransitKey,
  VaultTransitKey,
} from './vault-transit-key.ts';

/**
 * The versions of a key of Vault's transit engine. Needs, on MOUNT/keys/KEY, `read` to list, and `update` (`create` in
 * some versions) to generate; besides `update` on …/rotate to rotate, and on …/config and …/trim to destroy. Vault trims
 * keys: only the oldest version that is left can be destroyed, and never the newest. Errors: `config`.
 */
export async function openVaultTransitAdmin(reference: WrapperReference, access: SecretAccess): Promise<KeyAdmin> {
  refusePinnedKey(reference);
  const client = await openVaultClient(access.env);
  return new VaultTransitAdmin(reference.text, new VaultTransitKey(reference, client, access.signal));
}

class VaultTransitAdmin implements KeyAdmin {
  readonly name: string;
  readonly #key: VaultTransitKey;

  constructor(name: string, key: VaultTransitKey) {
    this.name = name;
    this.#key = key;
  }

  async list(): Promise<readonly KeyVersion[]> {
    const key = await this.#read(`list the versions of ${this.name}`);
    return Array.from({ length: key.latest }, (_, index) => this.#toVersion(key, index + 1));
  }

  async generate(): Promise<KeyVersion> {
    const action = `generate ${this.name}`;
    if ((await this.#key.read(action)) !== null) {
      throw new BackupError('conflict', `there is a key ${this.name} already`, {
        hint: 'Rotate it, or give another name.',
      });
    }
    // Vault leaves a key alone that somebody else has made in the meantime.
    await this.#post(action, { verb: 'keys', body: { type: transitAlgorithm } });
    return this.#newest(await this.#read(action));
  }

  async rotate(): Promise<KeyVersion> {
    const action = `rotate ${this.name}`;
    const answer = await this.#key.rotate(action, await this.#read(action));
    if (answer.status >= 300) throw describeRefusal(answer, action);
    return this.#newest(await this.#read(action));
  }

  async destroy({ version }: KeyVersion): Promise<void> {
    const action = `destroy version ${version} of ${this.name}`;
    const key = await this.#read(action);
    const number = Number(version);
    this.#assertOldest(key, number);
    const floor = number + 1;
    await this.#post(action, {
      verb: 'keys',
      action: 'config',
      body: {
        min_decryption_version: Math.max(key.minDecryption, floor),
        min_encryption_version: Math.max(key.minEncryption, floor),
      },
    });
    await this.#post(action, { verb: 'keys', action: 'trim', body: { min_available_version: floor } });
  }

  [Symbol.dispose](): void {}

  #assertOldest({ latest, oldest }: TransitKey, version: number): void {
    if (!Number.isInteger(version) || version < 1 || version > latest) {
      throw new BackupError('key', `key ${this.name} has no version ${version}`);
    }
    if (version < oldest) throw new BackupError('key', `version ${version} of ${this.name} is destroyed already`);
    if (version === latest && oldest < latest) {
      throw new BackupError('conflict', `version ${version} of ${this.name} is the active one`, {
        hint: 'Rotate the key first, and wrap anew what needs this version.',
      });
    }
    if (version === latest) {
      throw new BackupError('usage', `version ${version} is all that is left of ${this.name}, and Vault keeps one`, {
        hint: 'Rotate the key first; or set its deletion_allowed and delete all of it in Vault.',
      });
    }
    if (version === oldest) return;
    const older = Array.from({ length: version - oldest }, (_, index) => oldest + index).join(', ');
    throw new BackupError(
      'usage',
      `with version ${version} of ${this.name} Vault would destroy the older ones: ${older}`,
      {
        hint: 'Destroy the older ones first, the oldest before the others.',
      },
    );
  }

  async #read(action: string): Promise<TransitKey> {
    const key = await this.#key.read(action);
    if (key !== null) return key;
    throw missingKey(action);
  }

  async #post(action: string, call: TransitCall): Promise<void> {
    const answer = await this.#key.post(action, call);
    if (answer.status >= 300) throw describeRefusal(answer, action);
  }

  #newest(key: TransitKey): KeyVersion {
    return this.#toVersion(key, key.latest);
  }

  #toVersion(key: TransitKey, version: number): KeyVersion {
    return {
      keyId: this.#key.id,
      version: String(version),
      createdAt: key.createdAt(version),
      state: stateOf(key, version),
    };
  }
}

function stateOf({ latest, oldest, minDecryption }: TransitKey, version: number): KeyVersion['state'] {
  if (version < oldest) return 'destroyed';
  if (version < minDecryption) return 'disabled';
  return version === latest ? 'active' : 'retired';
}
