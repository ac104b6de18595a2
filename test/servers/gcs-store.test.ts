import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { streamOf } from '../../src/core/byte-stream.ts';
import { openStore } from '../../src/storage/open-store.ts';
import { testObjectStore } from '../contract/object-store-contract.ts';
import { bucket, gcsEndpoint, makeBucket, openTestStore, withServer } from '../support/gcs-server.ts';
import { listAll, readAll } from '../support/test-bytes.ts';

// This machine's credentials are not looked for.
process.env['METADATA_SERVER_DETECTION'] = 'none';
delete process.env['GOOGLE_APPLICATION_CREDENTIALS'];
process.env['CLOUDSDK_CONFIG'] = '/nonexistent';
await makeBucket();

testObjectStore('gcs, fake-gcs-server', {
  open: async () => await openTestStore(),
  openMissing: async () => await openStore('gs://no-such-bucket/prefix', withServer({})),
  // The server cannot be asked for its unfinished uploads.
  leftovers: async () => [],
});
