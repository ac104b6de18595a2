import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Client } from 'pg';
import type { ServerAddress } from './connection.ts';

const cancelRequestCode = 80_877_102;
const timeoutMs = 1000;

/** What the server tells each session for this purpose; pg's types do not know it. */
interface BackendKey {
  readonly processID: number | null;
  readonly secretKey: number | null;
}

/**
 * Asks the server to cancel what a session does: one that waits for a lock does not see that its client has gone. Without
 * TLS, as the protocol has it (manual, "Canceling Requests in Progress"). Settles when the server has taken note, or after
 * a moment; never fails, because there may be nothing to cancel any more.
 */
export async function cancelQuery(client: Client, server: ServerAddress): Promise<void> {
  const { processID, secretKey } = client as unknown as BackendKey;
  if (processID === null || secretKey === null) return;
  const request = Buffer.alloc(16);
  for (const [index, value] of [request.byteLength, cancelRequestCode, processID, secretKey].entries()) {
    request.writeInt32BE(value, index * 4);
  }
  const socket = open(server);
  socket.setTimeout(timeoutMs, () => socket.destroy());
  // The answer is the end of the connection.
  socket.resume();
  socket.end(request);
  await once(socket, 'close').catch(() => {});
}

function open({ host, hostaddr, port }: ServerAddress): Socket {
  const address = hostaddr ?? host;
  return address.startsWith('/') ? connect(join(address, `.s.PGSQL.${port}`)) : connect(port, address);
}
