import { randomUUID } from 'node:crypto';
import { after } from 'node:test';
import { Secret } from '../../src/core/secret.ts';
import { openStore } from '../../src/storage/open-store.ts';
import type { GcsSettings } from '../../src/storage/store-settings.ts';
import { GcsDouble } from '../support/gcs-double.ts';
import { ownGoogleEnvironment } from '../support/google-environment.ts';
import { testObjectStore } from './object-store-contract.ts';

const environment = await ownGoogleEnvironment();
const double = await GcsDouble.start('bucket');
after(async () => {
  await double[Symbol.asyncDispose]();
  await environment[Symbol.asyncDispose]();
});

const variants: Readonly<Record<string, () => GcsSettings['encryption']>> = {
  'no key': () => undefined,
  'a customer-supplied key': () => ({ method: 'gcs-csek', key: new Secret(new Uint8Array(32).fill(7)) }),
};

for (const [name, encryption] of Object.entries(variants)) {
  const asked = encryption();
  const gcs = { endpoint: double.endpoint, ...(asked && { encryption: asked }) };
  // Bodies of more than 8 MiB go in parts.
  const settings = { gcs, uploadMemoryBytes: 32 * 1024 * 1024 };
  testObjectStore(`gcs with ${name}`, {
    open: async () => await openStore(`gs://bucket/${randomUUID()}`, settings),
    openMissing: async () => await openStore('gs://no-such-bucket/prefix', settings),
    abandonUpload: null,
    leftovers: async () => double.unfinished,
  });
}
