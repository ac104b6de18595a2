import type { KeyWrapper } from '../core/key-wrapper.ts';
import type { SecretAccess } from './read-secret.ts';
import type { WrapperReference, WrapperScheme } from './secret-reference.ts';

/**
 * Makes a wrapper of the key that a reference names; it asks its service for nothing yet. Fails with `config` when a
 * setting of the service is missing or wrong. The signal of `access` ends every later call as well.
 */
export type KeyWrapperOpener = (reference: WrapperReference, access: SecretAccess) => Promise<KeyWrapper>;

const openers = {
  'aws-kms': async () => (await import('./aws-kms-wrapper.ts')).openAwsKms,
  'azure-key': async () => (await import('./azure-key-wrapper.ts')).openAzureKey,
  'gcp-kms': async () => (await import('./gcp-kms-wrapper.ts')).openGcpKms,
  'vault-transit': async () => (await import('./vault-transit-wrapper.ts')).openVaultTransit,
} as const satisfies Record<WrapperScheme, () => Promise<KeyWrapperOpener>>;

/** The key that never leaves its service and that `reference` names. Errors: `config`; those of `KeyWrapper` come later. */
export async function openKeyWrapper(reference: WrapperReference, access: SecretAccess): Promise<KeyWrapper> {
  const open = await openers[reference.scheme]();
  return await open(reference, access);
}
