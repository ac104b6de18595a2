import { randomUUID } from 'node:crypto';
import type { KeyWrapper } from '../../src/core/key-wrapper.ts';
import { openKeyWrapper } from '../../src/keys/open-key-wrapper.ts';
import { isSecret, parseKeyReference } from '../../src/keys/secret-reference.ts';
import type { KeyVersion } from '../support/azure-vault-double.ts';
import { provideAzureVault } from '../support/azure-vault-under-test.ts';
import { testKeyAdmin } from './key-admin-contract.ts';
import { testKeyWrapper } from './key-wrapper-contract.ts';
import { testSecretSource } from './secret-source-contract.ts';

const { vault } = await provideAzureVault();

async function openWrapper(item: string, signal?: AbortSignal): Promise<KeyWrapper> {
  const reference = parseKeyReference(`azure-key:${vault().host}/${item}`);
  if (isSecret(reference)) throw new Error('not a wrapper');
  return await openKeyWrapper(reference, { env: {}, ...(signal !== undefined && { signal }) });
}

/** Of a key that is there: every test has a new vault. */
async function openKey(name: string, type: KeyVersion['type'], signal?: AbortSignal): Promise<KeyWrapper> {
  if (!vault().keys.has(name)) vault().addKey(name, type);
  return await openWrapper(name, signal);
}

for (const type of ['RSA', 'oct-HSM'] as const) {
  testKeyWrapper(`Azure Key Vault, key of type ${type}`, {
    provider: 'azure-key',
    open: async (signal) => await openKey('data', type, signal),
    openOther: async () => await openKey('other', type),
    openMissing: async () => await openWrapper('missing'),
    bindsContext: false,
    rotate: async () => {
      vault().addKey('data', type);
      await Promise.resolve();
    },
    withMissingVersion: (wrapped) => ({ ...wrapped, keyVersion: '0'.repeat(32) }),
    disable: async (id) => {
      for (const version of vault().keys.get('data') ?? []) if (version.id === id) version.isEnabled = false;
      await Promise.resolve();
    },
  });
}

async function put(value: string, name: string = randomUUID()): Promise<string> {
  vault().addSecret(name, value);
  return await Promise.resolve(`azure-kv:${vault().host}/${name}`);
}

testSecretSource('Azure Key Vault', {
  env: () => ({}),
  put,
  putFields: async (fields) => await put(JSON.stringify(fields)),
  putAgain: async (reference, value) => void (await put(value, reference.slice(reference.lastIndexOf('/') + 1))),
  // Every test has a new vault.
  get missing() {
    return `azure-kv:${vault().host}/missing`;
  },
  missingVersion: '0'.repeat(32),
});

for (const [place, scheme, field] of [
  ['a key of Azure Key Vault', 'azure-key', ''],
  ['a secret of Azure Key Vault', 'azure-kv', ''],
  ['a field of a secret of Azure Key Vault', 'azure-kv', '#key'],
] as const) {
  testKeyAdmin(place, {
    env: () => ({}),
    newReference: async () => await Promise.resolve(`${scheme}:${vault().host}/${randomUUID()}${field}`),
    destroys: 'nothing',
    hasVersions: true,
    remembersDates: true,
  });
}
