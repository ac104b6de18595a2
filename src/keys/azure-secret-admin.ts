import type { SecretProperties } from '@azure/keyvault-secrets';
import { Secret } from '../core/secret.ts';
import { fetchAzureSecret, openAzureSecrets, type AzureSecrets } from './azure-secret-source.ts';
import { isVaultFailure, meaningForOfficer, unexpectedVaultAnswer } from './azure-vault-errors.ts';
import type { KeyAdmin } from './key-admin.ts';
import type { SecretAccess } from './read-secret.ts';
import { noDestruction, SecretKeyAdmin, type SecretVersion, type VersionedSecret } from './secret-key-admin.ts';
import { withoutVersion, withVersion, type SecretReference } from './secret-reference.ts';

/**
 * The versions of a key in Azure Key Vault. Needs, beside the permission to get secrets, list to list and set to generate
 * and rotate. A new version keeps content type and tags of the one before. One version cannot be destroyed. The vault knows
 * no conditions: two that generate at the same moment both make a version, and the later one is active.
 */
export async function openAzureSecretAdmin(reference: SecretReference, access: SecretAccess): Promise<KeyAdmin> {
  const secret = new AzureVersionedSecret(withoutVersion(reference), openAzureSecrets(reference, access));
  return await Promise.resolve(new SecretKeyAdmin(reference, secret));
}

class AzureVersionedSecret implements VersionedSecret {
  readonly #reference: SecretReference;
  readonly #secrets: AzureSecrets;
  /** Of the current version, as it was read last. */
  #kept: Pick<SecretProperties, 'contentType' | 'tags'> = {};

  constructor(reference: SecretReference, secrets: AzureSecrets) {
    this.#reference = reference;
    this.#secrets = secrets;
  }

  async listVersions(): Promise<readonly SecretVersion[]> {
    const { vault, client } = this.#secrets;
    const current = await this.#findCurrent();
    const action = `list the versions of secret ${this.#reference.text}`;
    const all = await vault.call({
      action,
      request: async (options) => await Array.fromAsync(client.listPropertiesOfSecretVersions(vault.itemName, options)),
      meaningOf: meaningForOfficer,
    });
    return all.map((properties) => toVersion(properties, { action, current }));
  }

  async read(version?: string): Promise<Secret | null> {
    const reference = version === undefined ? this.#reference : withVersion(this.#reference, version);
    try {
      const { value, properties } = await fetchAzureSecret(this.#secrets, reference);
      if (version === undefined) this.#kept = properties;
      return Secret.fromText(value);
    } catch (error) {
      if (isVaultFailure(error, 'SecretNotFound')) return null;
      throw error;
    }
  }

  /** The vault makes a secret with its first version. */
  async create(content: Secret): Promise<SecretVersion> {
    return await this.add(content);
  }

  async add(content: Secret): Promise<SecretVersion> {
    const { vault, client } = this.#secrets;
    const { contentType, tags } = this.#kept;
    const kept = { ...(contentType !== undefined && { contentType }), ...(tags !== undefined && { tags }) };
    const action = `write a new version of secret ${this.#reference.text}`;
    const { properties } = await vault.call({
      action,
      request: async (options) => await client.setSecret(vault.itemName, content.revealText(), { ...options, ...kept }),
      meaningOf: meaningForOfficer,
      findOutcome: async () => await this.#findOwnWrite(content),
    });
    return toVersion(properties, { action, current: properties.version });
  }

  async destroy(): Promise<void> {
    await Promise.reject(
      noDestruction(
        this.#reference.text,
        'Disable the version in the vault, so that nobody reads it; or delete and purge the whole secret.',
      ),
    );
  }

  [Symbol.dispose](): void {}

  /** The answer to a first try may have been lost. */
  async #findOwnWrite(content: Secret): Promise<{ readonly properties: SecretProperties } | undefined> {
    try {
      const { value, properties } = await fetchAzureSecret(this.#secrets, this.#reference);
      using newest = Secret.fromText(value);
      return newest.equals(content) ? { properties } : undefined;
    } catch (error) {
      if (isVaultFailure(error, 'SecretNotFound')) return undefined;
      throw error;
    }
  }

  /** The newest version, or nothing when that is disabled: two may have been made in the same second. */
  async #findCurrent(): Promise<string | undefined> {
    try {
      return (await fetchAzureSecret(this.#secrets, this.#reference)).properties.version;
    } catch (error) {
      if (isVaultFailure(error, 'SecretDisabled')) return undefined;
      throw error;
    }
  }
}

interface VersionContext {
  readonly action: string;
  readonly current: string | undefined;
}

function toVersion(
  { version, createdOn, enabled }: SecretProperties,
  { action, current }: VersionContext,
): SecretVersion {
  if (version === undefined) throw unexpectedVaultAnswer(action);
  const usable = version === current ? 'active' : 'retired';
  return { version, createdAt: createdOn ?? null, state: enabled === false ? 'disabled' : usable };
}
