import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

const startupVersion = 3 << 16;
const encryptionRequests: ReadonlySet<number> = new Set([80_877_103, 80_877_104]);

export interface Pooler extends AsyncDisposable {
  readonly port: number;
  /** How many sessions were refused. */
  readonly refused: number;
}

/**
 * Stands in front of a server as PgBouncer does: no encryption, and no session that begins with `options`
 * (PgBouncer, "ignore_startup_parameters"). Messages as in the manual's "Message Formats".
 */
export async function startPooler(serverPort: number): Promise<Pooler> {
  const sockets = new Set<Socket>();
  let refused = 0;
  const server = createServer((client) => {
    track(sockets, client);
    let received = Buffer.alloc(0);
    client.on('data', function onStart(chunk: Buffer) {
      received = Buffer.concat([received, chunk]);
      if (received.byteLength < 8 || received.byteLength < received.readInt32BE(0)) return;
      const code = received.readInt32BE(4);
      if (encryptionRequests.has(code)) {
        received = received.subarray(8);
        client.write('N');
        return;
      }
      client.off('data', onStart);
      if (code === startupVersion && received.includes('\0options\0')) {
        refused += 1;
        client.end(refusal());
        return;
      }
      const upstream = connect(serverPort, '127.0.0.1');
      track(sockets, upstream);
      upstream.write(received);
      client.pipe(upstream).pipe(client);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    get refused() {
      return refused;
    },
    [Symbol.asyncDispose]: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}

function track(sockets: Set<Socket>, socket: Socket): void {
  sockets.add(socket);
  socket.on('error', () => {}); // whoever is at the other end may go at any time
  socket.on('close', () => sockets.delete(socket));
}

function refusal(): Buffer {
  const fields = ['SFATAL', 'VFATAL', 'C08P01', 'Munsupported startup parameter: options'];
  const body = Buffer.from(`${fields.map((field) => `${field}\0`).join('')}\0`);
  const header = Buffer.alloc(5);
  header.write('E');
  header.writeInt32BE(body.byteLength + 4, 1);
  return Buffer.concat([header, body]);
}
