import { openStore } from '../../src/storage/open-store.ts';
import { azuriteServer, container, makeContainer, withKey, withServer } from '../support/azurite-server.ts';
import { testFaultSweep } from '../support/fault-sweep.ts';

testFaultSweep('Azure', async () => {
  await makeContainer();
  const { endpoint: direct, account } = azuriteServer();
  const url = new URL(direct);
  return {
    serverPort: Number(url.port),
    open: async (name, { endpoint, timings }) => {
      const azure = { endpoint: endpoint === undefined ? direct : endpoint + url.pathname };
      return await openStore(`az://${account}/${container}/${name}`, withServer({ azure }), withKey({ timings }));
    },
    // The first block begins it; the service forgets blocks without a list of them by itself.
    beginsUpload: /comp=block&/,
    hasAnswersWithoutBody: true,
  };
});
