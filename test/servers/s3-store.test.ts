import { openStore } from '../../src/storage/open-store.ts';
import { testObjectStore } from '../contract/object-store-contract.ts';
import { abandonUpload, makeBucket, openTestStore, unfinishedUploads, withServer } from '../support/s3-server.ts';

await makeBucket();

for (const checksumMode of ['auto', 'when-required'] as const) {
  testObjectStore(`s3, checksums ${checksumMode}`, {
    open: async () => await openTestStore({ s3: { checksumMode } }),
    openMissing: async () => await openStore('s3://no-such-bucket/prefix', withServer({})),
    leftovers: unfinishedUploads,
    abandonUpload,
  });
}
