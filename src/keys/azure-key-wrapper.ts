import { CryptographyClient, KeyClient } from '@azure/keyvault-keys';
import { BackupError } from '../core/backup-error.ts';
import type { KeyWrapper } from '../core/key-wrapper.ts';
import type { Meaning } from '../core/meaning.ts';
import type { Secret } from '../core/secret.ts';
import type { WrappedKey } from '../core/wrapped-key.ts';
import { unexpectedVaultAnswer, type VaultFailure } from './azure-vault-errors.ts';
import { AzureVault } from './azure-vault.ts';
import type { SecretAccess } from './read-secret.ts';
import type { WrapperReference } from './secret-reference.ts';
import { toDataKey } from './to-data-key.ts';

type Algorithm = Extract<WrappedKey, { provider: 'azure-key' }>['algorithm'];

/**
 * `azure-key:VAULT/KEY`: an RSA key of Azure Key Vault (RSA-OAEP with SHA-256), or an AES-256 key of a managed HSM (AES
 * Key Wrap). VAULT is as in `azure-kv:`. Wraps with the version that was the newest when it first wrapped, or the one that
 * the reference names. Needs the permissions get and wrapKey to wrap, and unwrapKey to unwrap.
 *
 * Neither algorithm takes a context, so nothing here binds the wrapped key to its backup: whoever can write manifests
 * could move it to another backup of the same key. It is the manifest's seal, made with the data key over everything in
 * the manifest, that does not fit then.
 */
export async function openAzureKey(reference: WrapperReference, access: SecretAccess): Promise<KeyWrapper> {
  return await Promise.resolve(new AzureKeyWrapper(reference, access));
}

interface WrappingKey {
  readonly version: string;
  readonly algorithm: Algorithm;
  readonly createdAt: Date | null;
}

class AzureKeyWrapper implements KeyWrapper {
  readonly name: string;
  readonly #reference: WrapperReference;
  readonly #vault: AzureVault;
  readonly #keyId: string;
  /** The key to wrap with. */
  #key: Promise<WrappingKey> | undefined;
  readonly #clients = new Map<string, CryptographyClient>();

  constructor(reference: WrapperReference, access: SecretAccess) {
    this.name = reference.text;
    this.#reference = reference;
    this.#vault = new AzureVault(reference.location, access);
    this.#keyId = `${this.#vault.url}/keys/${this.#vault.itemName}`;
  }

  async wrap(dataKey: Secret): Promise<WrappedKey> {
    const { version, algorithm } = await this.#findKey();
    const action = `wrap a data key with version ${version} of ${this.name}`;
    const { result } = await this.#vault.call({
      action,
      request: async (options) => await this.#client(version).wrapKey(algorithm, dataKey.reveal(), options),
    });
    if (!isFilled(result)) throw unexpectedVaultAnswer(action);
    const wrapped = Buffer.from(result).toString('base64');
    return { provider: 'azure-key', keyId: this.#keyId, keyVersion: version, algorithm, wrapped };
  }

  async unwrap(wrapped: WrappedKey): Promise<Secret | null> {
    if (wrapped.provider !== 'azure-key' || !isSameKey(wrapped.keyId, this.#keyId)) return null;
    const { keyVersion: version = '', algorithm } = wrapped;
    if (!/^[A-Za-z0-9]+$/.test(version)) {
      throw new BackupError('integrity', `wrapped data key does not name a version of ${this.name}`);
    }
    const action = `unwrap a data key with version ${version} of ${this.name}`;
    const bytes = Buffer.from(wrapped.wrapped, 'base64');
    const { result } = await this.#vault.call({
      action,
      request: async (options) => await this.#client(version).unwrapKey(algorithm, bytes, options),
      meaningOf: meaningOfUnwrapping,
    });
    if (!isFilled(result)) throw unexpectedVaultAnswer(action);
    return toDataKey(result, action);
  }

  async createdAt(): Promise<Date | null> {
    try {
      return (await this.#findKey()).createdAt;
    } catch {
      return null;
    }
  }

  [Symbol.dispose](): void {
    this.#clients.clear();
  }

  /** Asks only once, unless that fails. */
  async #findKey(): Promise<WrappingKey> {
    this.#key ??= this.#getKey().catch((error: unknown) => {
      this.#key = undefined;
      throw error;
    });
    return await this.#key;
  }

  async #getKey(): Promise<WrappingKey> {
    const action = `look up key ${this.name}`;
    const { url, itemName, credential, clientOptions } = this.#vault;
    const client = new KeyClient(url, credential, clientOptions);
    const wanted = this.#reference.version === undefined ? {} : { version: this.#reference.version };
    const { keyType, properties } = await this.#vault.call({
      action,
      request: async (options) => await client.getKey(itemName, { ...options, ...wanted }),
    });
    const { id = '', version = '', createdOn: createdAt = null } = properties;
    if (version === '' || !isSameKey(id, `${this.#keyId}/${version}`)) throw unexpectedVaultAnswer(action);
    return { version, algorithm: toAlgorithm(keyType, this.name), createdAt };
  }

  /**
   * The SDK is given a key without attributes: otherwise it looks them up before its first call, and would itself refuse to
   * unwrap with a version that has expired, which the service does not (Azure documentation, "About keys").
   */
  #client(version: string): CryptographyClient {
    const { url, itemName, credential, clientOptions } = this.#vault;
    const id = `${this.#keyId}/${version}`;
    const key = { id, name: itemName, properties: { id, name: itemName, vaultUrl: url, version } };
    const client = this.#clients.get(version) ?? new CryptographyClient(key, credential, clientOptions);
    this.#clients.set(version, client);
    return client;
  }
}

function toAlgorithm(keyType: string | undefined, name: string): Algorithm {
  const { family } = /^(?<family>RSA|oct)(?:-HSM)?$/i.exec(keyType ?? '')?.groups ?? {};
  if (family === undefined) {
    throw new BackupError('config', `${name} is a key of type ${keyType ?? 'unknown'}, which cannot wrap others`, {
      hint: 'Use an RSA key, or an AES key of 256 bits in a managed HSM.',
    });
  }
  return family.toUpperCase() === 'RSA' ? 'RSA-OAEP-256' : 'A256KW';
}

/** Names of vaults and keys do not tell capitals from small letters. */
function isSameKey(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}

function isFilled(bytes: Uint8Array | undefined): bytes is Uint8Array {
  return bytes !== undefined && bytes.byteLength > 0;
}

/** The service has no code of its own for a wrapped key that does not open. */
function meaningOfUnwrapping({ status, code, message }: VaultFailure): Meaning | undefined {
  if (status !== 400 || code !== 'BadParameter' || /algorithm|property|key type/i.test(message)) return undefined;
  return { kind: 'integrity', reason: 'the wrapped data key was changed, or another key made it' };
}
