import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** The bit to change: of the byte at this place, counted from the begin of a connection, towards the server or from it. */
interface Flip {
  readonly direction: 'up' | 'down';
  readonly atByte: number;
}

/** A proxy for any TCP server on this machine, also one that speaks TLS, which changes single bits on the way. */
export class BitFlipper implements AsyncDisposable {
  readonly #targetPort: number;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  #pending: Flip[] = [];

  private constructor(targetPort: number) {
    this.#targetPort = targetPort;
    this.#server = createServer((client) => this.#relay(client));
  }

  static async start(targetPort: number): Promise<BitFlipper> {
    const flipper = new BitFlipper(targetPort);
    flipper.#server.listen(0, '127.0.0.1');
    await once(flipper.#server, 'listening');
    return flipper;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Flips that no connection has met yet. */
  get pendingFlips(): number {
    return this.#pending.length;
  }

  /** The next connection that gets so far meets this. */
  flip(direction: Flip['direction'], atByte: number): void {
    this.#pending.push({ direction, atByte });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
  }

  #relay(client: Socket): void {
    const server = connect(this.#targetPort, '127.0.0.1');
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#sockets.delete(socket);
        client.destroy();
        server.destroy();
      });
    }
    void this.#pump('up', client, server);
    void this.#pump('down', server, client);
  }

  async #pump(direction: Flip['direction'], from: Socket, to: Socket): Promise<void> {
    let passed = 0;
    try {
      for await (const chunk of from as AsyncIterable<Buffer>) {
        for (const flip of this.#take(direction, passed, passed + chunk.byteLength)) {
          const index = flip.atByte - passed;
          chunk[index] = (chunk[index] ?? 0) ^ 1;
        }
        passed += chunk.byteLength;
        if (!to.destroyed && !to.write(chunk)) await once(to, 'drain');
      }
      to.end();
    } catch {
      to.destroy();
    }
  }

  #take(direction: Flip['direction'], start: number, end: number): Flip[] {
    const isDue = (flip: Flip): boolean => flip.direction === direction && flip.atByte >= start && flip.atByte < end;
    const due = this.#pending.filter(isDue);
    this.#pending = this.#pending.filter((flip) => !isDue(flip));
    return due;
  }
}
