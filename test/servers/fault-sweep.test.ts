import { openStore } from '../../src/storage/open-store.ts';
import { testFaultSweep } from '../support/fault-sweep.ts';
import { bucket, makeBucket, s3Endpoint, withServer } from '../support/s3-server.ts';

testFaultSweep('S3', async () => {
  await makeBucket();
  return {
    serverPort: Number(new URL(s3Endpoint()).port),
    open: async (name, { endpoint = s3Endpoint(), timings }) =>
      await openStore(`s3://${bucket}/${name}`, withServer({ s3: { endpoint } }), { timings }),
    beginsUpload: /^POST \S+\?uploads/,
  };
});
