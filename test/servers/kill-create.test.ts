import { testKilledCreates } from '../support/killed-creates.ts';
import { makeBucket, openTestStore, s3Surroundings } from '../support/s3-server.ts';

testKilledCreates('S3', {
  kills: 38,
  open: async () => {
    await makeBucket();
    const store = await openTestStore();
    return { store, env: { LIBRELOG_BACKUP_STORE: store.url, ...s3Surroundings() } };
  },
});
