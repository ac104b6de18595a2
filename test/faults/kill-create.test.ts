import { openStore } from '../../src/storage/open-store.ts';
import { testKilledCreates } from '../support/killed-creates.ts';

testKilledCreates('a folder', {
  kills: 12,
  open: async ({ storeUrl }) => ({ store: await openStore(storeUrl, {}), env: {} }),
});

testKilledCreates('a folder, in several streams,', {
  kills: 12,
  args: '--jobs 2',
  open: async ({ storeUrl }) => ({ store: await openStore(storeUrl, {}), env: {} }),
});
