import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface LinkLimits {
  /** Added to every round trip, one half each way. */
  readonly latencyMs: number;
  /** What one connection passes on in one direction. */
  readonly bytesPerSecond: number;
}

export interface Clock {
  readonly now: () => number;
  readonly sleep: (ms: number) => Promise<void>;
}

const realClock: Clock = {
  now: () => performance.now(),
  sleep: async (ms) => {
    await sleep(ms);
  },
};

/** What may pass at once after a pause; timers that are late by less cost nothing of the rate. */
export const burstMs = 50;

/** A token bucket. */
export class Pace {
  readonly #bytesPerSecond: number;
  /** When the bytes so far are paid for. */
  #paidUntilMs = Number.NEGATIVE_INFINITY;

  constructor(bytesPerSecond: number) {
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** How long these bytes have to wait, after all those before them. */
  delayOf(bytes: number, nowMs: number): number {
    this.#paidUntilMs = Math.max(nowMs - burstMs, this.#paidUntilMs) + (bytes / this.#bytesPerSecond) * 1000;
    return Math.max(0, this.#paidUntilMs - nowMs);
  }
}

/** Passes TCP connections on to a port of this machine as a long and narrow line would, each with a rate of its own. */
export class SlowLink implements AsyncDisposable {
  readonly #targetPort: number;
  readonly #limits: LinkLimits;
  readonly #clock: Clock;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(targetPort: number, limits: LinkLimits, clock: Clock) {
    this.#targetPort = targetPort;
    this.#limits = limits;
    this.#clock = clock;
    // An end whose other end has finished may still have something to say.
    this.#server = createServer({ allowHalfOpen: true }, (client) => this.#relay(client));
  }

  static async start(targetPort: number, limits: LinkLimits, clock: Clock = realClock): Promise<SlowLink> {
    const link = new SlowLink(targetPort, limits, clock);
    link.#server.listen(0, '127.0.0.1');
    await once(link.#server, 'listening');
    return link;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #relay(client: Socket): void {
    const server = connect({ port: this.#targetPort, host: '127.0.0.1', allowHalfOpen: true });
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      this.#sockets.add(socket);
      socket.on('error', () => {
        client.destroy();
        server.destroy();
      });
      socket.on('close', () => this.#sockets.delete(socket));
    }
    void this.#pass(client, server);
    void this.#pass(server, client);
  }

  /** Chunks wait for their turn first and are on their way after that, several at a time. */
  async #pass(from: Socket, to: Socket): Promise<void> {
    const pace = new Pace(this.#limits.bytesPerSecond);
    const wayMs = this.#limits.latencyMs / 2;
    try {
      for await (const chunk of from as AsyncIterable<Buffer>) {
        const delayMs = pace.delayOf(chunk.byteLength, this.#clock.now());
        if (delayMs >= 1) await this.#clock.sleep(delayMs);
        if (to.writableNeedDrain) await once(to, 'drain');
        void this.#clock.sleep(wayMs).then(() => to.write(chunk));
      }
      await this.#clock.sleep(wayMs);
      to.end();
    } catch {
      to.destroy();
    }
  }
}
