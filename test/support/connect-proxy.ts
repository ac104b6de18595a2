import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';

/** An HTTP proxy that makes tunnels (RFC 9110, section 9.3.6) and counts them. */
export class ConnectProxy implements AsyncDisposable {
  tunnels = 0;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer();
    this.#server.on('connect', ({ url = '' }, client) => {
      this.tunnels += 1;
      const { hostname, port } = new URL(`http://${url}`);
      const target = connect(Number(port), hostname, () => {
        client.write('HTTP/1.1 200 Connection established\r\n\r\n');
        client.pipe(target).pipe(client);
      });
      for (const socket of [client, target]) {
        socket.on('error', () => {});
        socket.on('close', () => {
          client.destroy();
          target.destroy();
        });
      }
    });
  }

  static async start(): Promise<ConnectProxy> {
    const proxy = new ConnectProxy();
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
