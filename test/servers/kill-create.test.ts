import { testKilledCreates } from '../support/killed-creates.ts';
import { makeBucket, openTestStore, s3Endpoint } from '../support/s3-server.ts';

testKilledCreates('S3', {
  kills: 38,
  open: async () => {
    await makeBucket();
    const store = await openTestStore();
    return {
      store,
      env: {
        LIBRELOG_BACKUP_STORE: store.url,
        LIBRELOG_BACKUP_S3_ENDPOINT: s3Endpoint(),
        LIBRELOG_BACKUP_S3_REGION: 'us-east-1',
        AWS_ACCESS_KEY_ID: process.env['AWS_ACCESS_KEY_ID'] ?? '',
        AWS_SECRET_ACCESS_KEY: process.env['AWS_SECRET_ACCESS_KEY'] ?? '',
      },
    };
  },
});
