import { SecretClient, type SecretProperties } from '@azure/keyvault-secrets';
import { Secret } from '../core/secret.ts';
import { unexpectedVaultAnswer } from './azure-vault-errors.ts';
import { AzureVault } from './azure-vault.ts';
import type { SecretAccess, SecretRead } from './read-secret.ts';
import type { SecretReference } from './secret-reference.ts';

/**
 * `azure-kv:VAULT/NAME`: a secret of Azure Key Vault. VAULT is the name of a vault of the public cloud, or a whole host
 * with or without a port (`safe.vault.azure.cn`). A version is the id of one; the newest by default. Needs the permission
 * to get secrets.
 */
export async function readAzureSecret(reference: SecretReference, access: SecretAccess): Promise<SecretRead> {
  const { value, properties } = await fetchAzureSecret(openAzureSecrets(reference, access), reference);
  const { version = '', createdOn } = properties;
  return {
    secret: Secret.fromText(value),
    version,
    ...(createdOn !== undefined && { createdAt: createdOn }),
    warnings: findWarnings(reference.text, properties),
  };
}

/** The vault of a secret, and how to ask for its secrets. */
export interface AzureSecrets {
  readonly vault: AzureVault;
  readonly client: SecretClient;
}

/** Errors: `config`. */
export function openAzureSecrets({ location }: SecretReference, access: SecretAccess): AzureSecrets {
  const vault = new AzureVault(location, access);
  return { vault, client: new SecretClient(vault.url, vault.credential, vault.clientOptions) };
}

/** The version that the reference names, or the newest one. Errors: as `SecretSource`. */
export async function fetchAzureSecret(
  { vault, client }: AzureSecrets,
  reference: SecretReference,
): Promise<{ readonly value: string; readonly properties: SecretProperties }> {
  const action = `read secret ${reference.text}`;
  const version = reference.version === undefined ? {} : { version: reference.version };
  const { value, properties } = await vault.call({
    action,
    request: async (options) => await client.getSecret(vault.itemName, { ...options, ...version }),
  });
  if (value === undefined || properties.version === undefined) throw unexpectedVaultAnswer(action);
  return { value, properties };
}

/** Key Vault gives expired secrets all the same. */
function findWarnings(name: string, { expiresOn }: SecretProperties): string[] {
  if (expiresOn === undefined || expiresOn.getTime() > Date.now()) return [];
  return [`secret ${name} has expired on ${expiresOn.toISOString().slice(0, 10)}`];
}
