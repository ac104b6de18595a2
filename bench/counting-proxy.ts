import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Passes HTTP requests on to a server on this machine, and counts how many are under way at once. */
export class CountingProxy implements AsyncDisposable {
  readonly #target: URL;
  readonly #server: Server;
  #inFlight = 0;
  #most = 0;

  private constructor(target: URL) {
    this.#target = target;
    this.#server = createServer((incoming, answer) => this.#pass(incoming, answer));
  }

  static async start(target: string): Promise<CountingProxy> {
    const proxy = new CountingProxy(new URL(target));
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get mostInFlight(): number {
    return this.#most;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  /** The signature covers the name of the host, which therefore stays as it was. */
  #pass(incoming: IncomingMessage, answer: ServerResponse): void {
    this.#inFlight += 1;
    this.#most = Math.max(this.#most, this.#inFlight);
    answer.once('close', () => (this.#inFlight -= 1));
    const { method, url: path, headers } = incoming;
    const { hostname, port } = this.#target;
    const passed = request({ hostname, port, method, path, headers }, (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(answer);
    });
    passed.once('error', () => answer.destroy());
    incoming.pipe(passed);
  }
}
