import type { KeyAdmin, KeyAdminOpener } from './key-admin.ts';
import type { SecretAccess } from './read-secret.ts';
import { isSecret, type SecretReference, type SecretScheme } from './secret-reference.ts';
import type { WrapperReference, WrapperScheme } from './secret-reference.ts';

const secrets: Record<SecretScheme, () => Promise<KeyAdminOpener<SecretReference>>> = {
  vault: async () => (await import('./vault-secret-admin.ts')).openVaultSecretAdmin,
  env: async () => (await import('./read-only-key-admin.ts')).openReadOnlyKeyAdmin,
  exec: async () => (await import('./read-only-key-admin.ts')).openReadOnlyKeyAdmin,
  file: async () => (await import('./file-key-admin.ts')).openFileKeyAdmin,
  'aws-sm': async () => (await import('./aws-secret-admin.ts')).openAwsSecretAdmin,
  'azure-kv': async () => (await import('./azure-secret-admin.ts')).openAzureSecretAdmin,
  'gcp-sm': async () => (await import('./gcp-secret-admin.ts')).openGcpSecretAdmin,
};

const services: Record<WrapperScheme, () => Promise<KeyAdminOpener<WrapperReference>>> = {
  'vault-transit': async () => (await import('./vault-transit-admin.ts')).openVaultTransitAdmin,
  'aws-kms': async () => (await import('./aws-kms-admin.ts')).openAwsKmsAdmin,
  'azure-key': async () => (await import('./azure-key-admin.ts')).openAzureKeyAdmin,
  'gcp-kms': async () => (await import('./gcp-kms-admin.ts')).openGcpKmsAdmin,
};

/** Who looks after the key that a reference names. Errors: `config`, and `usage` where a reference cannot be managed. */
export async function openKeyAdmin(
  reference: SecretReference | WrapperReference,
  access: SecretAccess,
): Promise<KeyAdmin> {
  if (!isSecret(reference)) return await (await services[reference.scheme]())(reference, access);
  return await (
    await secrets[reference.scheme]()
  )(reference, access);
}
