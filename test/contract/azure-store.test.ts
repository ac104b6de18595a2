import { randomUUID } from 'node:crypto';
import { after } from 'node:test';
import { Secret } from '../../src/core/secret.ts';
import type { StoreSettings } from '../../src/storage/store-settings.ts';
import { AzureDouble } from '../support/azure-double.ts';
import { listAll } from '../support/test-bytes.ts';
import { testObjectStore } from './object-store-contract.ts';

const double = await AzureDouble.start();
after(async () => await double[Symbol.asyncDispose]());

const settings: Readonly<Record<string, StoreSettings>> = {
  'an encryption scope': { azure: { encryption: { method: 'azure-scope', scope: 'backups' } } },
  'a customer-provided key': {
    azure: { encryption: { method: 'azure-cpk', key: new Secret(Buffer.alloc(32, 7)) } },
  },
};

for (const [name, chosen] of Object.entries(settings)) {
  testObjectStore(`azure, ${name}`, {
    open: async () => await double.open(randomUUID(), chosen),
    openMissing: async () => await double.openAddress('az://librelogdouble/no-such-container/prefix', chosen),
    // Every blob that is no object. Blocks of failed uploads stay with the service by its nature: see `AzurePut`.
    abandonUpload: null,
    leftovers: async (store) => {
      const prefix = `${store.url.split('/').at(-1)}/`;
      const listed = (await listAll(store.list(''))).map(({ key }) => `${prefix}${key}`);
      return [...double.blobs.blobs.keys()].filter((name) => name.startsWith(prefix) && !listed.includes(name));
    },
    largeBytes: 20 * 1024 * 1024 + 17,
  });
}
