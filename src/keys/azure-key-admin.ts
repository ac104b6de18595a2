import { KeyClient, type KeyProperties, type KeyVaultKey } from '@azure/keyvault-keys';
import { BackupError } from '../core/backup-error.ts';
import { isVaultFailure, meaningForOfficer, unexpectedVaultAnswer } from './azure-vault-errors.ts';
import { AzureVault, type VaultCall } from './azure-vault.ts';
import type { KeyAdmin, KeyVersion } from './key-admin.ts';
import type { SecretAccess } from './read-secret.ts';
import { refusePinnedKey } from './refuse-pinned-key.ts';
import { compareAge, noDestruction } from './secret-key-admin.ts';
import type { WrapperReference } from './secret-reference.ts';

const wrapping = { keyOps: ['wrapKey', 'unwrapKey'] };
const rsaBits = 3072;
const aesBits = 256;

type KeyRequest = VaultCall<KeyVaultKey>['request'];

/**
 * The versions of a key of Azure Key Vault. Needs the permissions get and list to list, get and create to generate, and
 * get and rotate to rotate. It makes an RSA key of 3072 bits, or an AES key of 256 bits in a managed HSM, for nothing but
 * wrapping. One version cannot be destroyed. The vault knows no conditions: two that generate at the same moment both make
 * a version, and the later one is active.
 */
export async function openAzureKeyAdmin(reference: WrapperReference, access: SecretAccess): Promise<KeyAdmin> {
  return await Promise.resolve(new AzureKeyAdmin(reference, access));
}

class AzureKeyAdmin implements KeyAdmin {
  readonly name: string;
  readonly #reference: WrapperReference;
  readonly #vault: AzureVault;
  readonly #client: KeyClient;
  readonly #keyId: string;

  constructor(reference: WrapperReference, access: SecretAccess) {
    this.name = reference.text;
    this.#reference = reference;
    this.#vault = new AzureVault(reference.location, access);
    this.#client = new KeyClient(this.#vault.url, this.#vault.credential, this.#vault.clientOptions);
    this.#keyId = `${this.#vault.url}/keys/${this.#vault.itemName}`;
  }

  async list(): Promise<readonly KeyVersion[]> {
    const current = (await this.#findCurrent())?.properties.version;
    const all = await this.#call('list the versions of', async (options) => {
      return await Array.fromAsync(this.#client.listPropertiesOfKeyVersions(this.#vault.itemName, options));
    });
    return all.map((properties) => this.#toKeyVersion(properties, current)).toSorted(compareAge);
  }

  async generate(): Promise<KeyVersion> {
    refusePinnedKey(this.#reference);
    if (await this.#exists()) {
      throw new BackupError('conflict', `there is a key ${this.name} already`, {
        hint: 'Rotate it, or give another reference.',
      });
    }
    return await this.#makeVersion('make', async (options) => await this.#create(options), undefined);
  }

  async rotate(): Promise<KeyVersion> {
    refusePinnedKey(this.#reference);
    const rotate: KeyRequest = async (options) => await this.#client.rotateKey(this.#vault.itemName, options);
    return await this.#makeVersion('rotate', rotate, (await this.#findCurrent())?.properties.version);
  }

  async destroy(): Promise<void> {
    await Promise.reject(
      noDestruction(
        this.name,
        'Disable the version in the vault, so that nobody uses it; or delete and purge the whole key.',
      ),
    );
  }

  [Symbol.dispose](): void {}

  async #create(options: { readonly abortSignal: AbortSignal }): Promise<KeyVaultKey> {
    const { url, itemName } = this.#vault;
    const isHsm = /\.managedhsm\./.test(new URL(url).hostname);
    return isHsm
      ? await this.#client.createOctKey(itemName, { ...options, ...wrapping, keySize: aesBits, hsm: true })
      : await this.#client.createRsaKey(itemName, { ...options, ...wrapping, keySize: rsaBits });
  }

  async #exists(): Promise<boolean> {
    try {
      await this.#findCurrent();
      return true;
    } catch (error) {
      if (isVaultFailure(error, 'KeyNotFound')) return false;
      throw error;
    }
  }

  /** Makes the version that follows `before`: one, also where the first answer is lost. */
  async #makeVersion(verb: string, request: KeyRequest, before: string | undefined): Promise<KeyVersion> {
    const { properties } = await this.#vault.call({
      action: `${verb} key ${this.name}`,
      request,
      meaningOf: meaningForOfficer,
      findOutcome: async () => {
        const key = (await this.#exists()) ? await this.#findCurrent() : undefined;
        return key?.properties.version === before ? undefined : key;
      },
    });
    return this.#toKeyVersion(properties, properties.version);
  }

  /** The newest version: two may have been made in the same second. Nothing when the vault does not tell, for it is disabled. */
  async #findCurrent(): Promise<KeyVaultKey | undefined> {
    try {
      return await this.#call('look up', async (options) => await this.#client.getKey(this.#vault.itemName, options));
    } catch (error) {
      if (isVaultFailure(error, 'KeyDisabled')) return undefined;
      throw error;
    }
  }

  #toKeyVersion({ version, createdOn, enabled }: KeyProperties, current: string | undefined): KeyVersion {
    if (version === undefined) throw unexpectedVaultAnswer(`look up key ${this.name}`);
    const usable = version === current ? 'active' : 'retired';
    const state = enabled === false ? 'disabled' : usable;
    return { keyId: this.#keyId, version, createdAt: createdOn ?? null, state };
  }

  async #call<Result>(verb: string, request: VaultCall<Result>['request']): Promise<Result> {
    return await this.#vault.call({ action: `${verb} key ${this.name}`, request, meaningOf: meaningForOfficer });
  }
}
