import { openStore } from '../../src/storage/open-store.ts';
import { testObjectStore } from '../contract/object-store-contract.ts';
import { azuriteServer, makeContainer, openTestStore, withKey, withServer } from '../support/azurite-server.ts';

await makeContainer();

testObjectStore('azure', {
  open: async () => await openTestStore(),
  openMissing: async () =>
    await openStore(`az://${azuriteServer().account}/no-such-container/prefix`, withServer({}), withKey()),
  leftovers: async () => [],
});
