import { openStore } from '../../src/storage/open-store.ts';
import { testObjectStore } from '../contract/object-store-contract.ts';
import {
  azuriteServer,
  foreignBlobs,
  makeContainer,
  openTestStore,
  withKey,
  withServer,
} from '../support/azurite-server.ts';

await makeContainer();

testObjectStore('azure', {
  open: async () => await openTestStore(),
  openMissing: async () =>
    await openStore(`az://${azuriteServer().account}/no-such-container/prefix`, withServer({}), withKey()),
  // Blocks of failed uploads stay with the service by its nature: see `AzurePut`, and azure-faults.test.ts.
  abandonUpload: null,
  leftovers: foreignBlobs,
});
