import type { ObjectStore } from '../../src/storage/object-store.ts';
import { openStore } from '../../src/storage/open-store.ts';
import type { S3Settings } from '../../src/storage/store-settings.ts';
import { testObjectStore } from '../contract/object-store-contract.ts';
import {
  abandonUpload,
  makeBucket,
  openTestStore,
  s3Traits,
  secureServer,
  unfinishedUploads,
  withEncryption,
  withServer,
} from '../support/s3-server.ts';

await makeBucket();
await makeBucket(undefined, secureServer());

const variants: Readonly<Record<string, S3Settings>> = {
  'checksums auto': { checksumMode: 'auto' },
  'checksums when-required': { checksumMode: 'when-required' },
  ...Object.fromEntries(s3Traits().encryptions.map((method) => [method, withEncryption(method)])),
};
for (const [name, s3] of Object.entries(variants)) {
  const { endpoint, caFile } = s3;
  const server = { ...(endpoint !== undefined && { endpoint }), ...(caFile !== undefined && { caFile }) };
  testObjectStore(`s3, ${name}`, {
    open: async () => await openTestStore({ s3 }),
    openMissing: async () => await openStore('s3://no-such-bucket/prefix', withServer({ s3 })),
    leftovers: async (store: ObjectStore) => await unfinishedUploads(store, server),
    abandonUpload: s3Traits().listsUploads
      ? async (store: ObjectStore, key: string) => await abandonUpload(store, key, server)
      : null,
  });
}
