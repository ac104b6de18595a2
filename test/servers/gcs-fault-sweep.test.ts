import { openStore } from '../../src/storage/open-store.ts';
import { testFaultSweep } from '../support/fault-sweep.ts';
import { bucket, gcsEndpoint, makeBucket, withServer } from '../support/gcs-server.ts';

testFaultSweep('Google Cloud Storage', async () => {
  await makeBucket();
  return {
    serverPort: Number(new URL(gcsEndpoint()).port),
    open: async (name, { endpoint = gcsEndpoint(), timings }) =>
      await openStore(`gs://${bucket}/${name}`, withServer({ gcs: { endpoint } }), { timings }),
    beginsUpload: /uploadType=resumable/,
  };
});
