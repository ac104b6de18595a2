import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { HttpPassage, type Place } from './http-passage.ts';

/** `up`: the request; `down`: its answer. */
type Direction = 'up' | 'down';

/** What one request meets. Places are counted from its first byte on, or from its answer's. */
export type Fault =
  /** Both ends see their connection reset; with `down` and 0 bytes the request was served and its answer is lost. */
  | { readonly kind: 'reset'; readonly direction: Direction; readonly afterBytes: Place }
  /** Nothing more comes through, and the connection stays open. */
  | { readonly kind: 'stall'; readonly direction: Direction; readonly afterBytes: Place }
  /** One bit of the byte at this place arrives changed. */
  | { readonly kind: 'flip'; readonly direction: Direction; readonly atByte: Place }
  /** The request does not reach the server; this text is the answer. */
  | { readonly kind: 'answer'; readonly text: string };

/** An answer without a body, after which the connection is closed. */
export function refusal(status: string, headers: Readonly<Record<string, string>> = {}): Fault {
  const all = { ...headers, 'Content-Length': '0', Connection: 'close' };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return { kind: 'answer', text: `HTTP/1.1 ${status}\r\n${lines.join('')}\r\n` };
}

/** A fault that waits for its request. */
interface Rule {
  readonly isMeant: (line: string, position: number) => boolean;
  readonly fault: Fault;
  times: number;
}

/**
 * A proxy for an HTTP/1.1 server on this machine, which passes bytes on as they are and misbehaves as told. It knows
 * requests by their first line, one at a time on a connection.
 */
export class FaultProxy implements AsyncDisposable {
  /** Delay of every request before it goes on; its answer is not delayed, and neither are the pieces of its body. */
  latencyMs = 0;
  /** What all connections share, in both directions together; no limit by default. */
  bytesPerSecond = Number.POSITIVE_INFINITY;
  /** The first lines (`PUT /bucket/key HTTP/1.1`) of all requests seen. */
  readonly requests: string[] = [];
  readonly #targetPort: number;
  readonly #sockets = new Set<Socket>();
  #rules: Rule[] = [];
  #happened = 0;
  /** When the bytes passed so far are paid for, on the clock of `performance.now`. */
  #paidUntil = 0;
  #server: Server | undefined;
  #port = 0;

  private constructor(targetPort: number) {
    this.#targetPort = targetPort;
  }

  static async start(targetPort: number): Promise<FaultProxy> {
    const proxy = new FaultProxy(targetPort);
    await proxy.resume();
    return proxy;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Faults that were asked for and have not met a request yet. */
  get pendingFaults(): number {
    return this.#rules.reduce((sum, rule) => sum + rule.times, 0);
  }

  /** Faults that have taken effect: one at a place that the request or its answer does not have never does. */
  get happenedFaults(): number {
    return this.#happened;
  }

  /** The next `times` requests whose first line matches meet this fault. */
  inject(request: RegExp, fault: Fault, times = 1): void {
    this.#rules.push({ isMeant: (line) => request.test(line), fault, times });
  }

  /** The request number `position` from now on, the next one being 1, meets this fault. */
  injectAt(position: number, fault: Fault): void {
    const absolute = this.requests.length + position;
    this.#rules.push({ isMeant: (_, at) => at === absolute, fault, times: 1 });
  }

  /** Forgets the faults that are pending, and those that have happened. */
  reset(): void {
    this.#rules = [];
    this.#happened = 0;
  }

  /** Cuts all connections and refuses new ones. */
  async suspend(): Promise<void> {
    const closed = this.#server === undefined ? undefined : once(this.#server, 'close');
    this.#server?.close();
    this.#server = undefined;
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async resume(): Promise<void> {
    this.#server = createServer((client) => this.#relay(client));
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.suspend();
  }

  #relay(client: Socket): void {
    const server = connect(this.#targetPort, '127.0.0.1');
    const link: Link = { client, server, exchange: undefined };
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#sockets.delete(socket);
        client.destroy();
        server.destroy();
      });
    }
    void this.#pump(link, 'up');
    void this.#pump(link, 'down');
  }

  async #pump(link: Link, direction: Direction): Promise<void> {
    const [from, to] = direction === 'up' ? [link.client, link.server] : [link.server, link.client];
    try {
      for await (const chunk of from as AsyncIterable<Buffer>) {
        if (direction === 'up' && this.#beginExchange(link, chunk) && this.latencyMs > 0) await sleep(this.latencyMs);
        await this.#pay(chunk.byteLength);
        const passing = this.#misbehave(link, direction, chunk);
        if (passing.byteLength > 0 && !to.destroyed && !to.write(passing)) await once(to, 'drain');
      }
      to.end();
    } catch {
      to.destroy();
    }
  }

  /** Whether a request begins with this chunk. It has its own packet, since nobody sends two at once on one connection. */
  #beginExchange(link: Link, chunk: Buffer): boolean {
    const [, line, method] = /^(([A-Z]+) \S+ HTTP\/1\.1)\r\n/.exec(chunk.subarray(0, 4096).toString('latin1')) ?? [];
    if (line === undefined) return false;
    this.requests.push(line);
    const rule = this.#rules.find(({ isMeant, times }) => times > 0 && isMeant(line, this.requests.length));
    if (rule !== undefined) rule.times -= 1;
    const passages = { up: new HttpPassage(true), down: new HttpPassage(method !== 'HEAD') };
    link.exchange = { fault: rule?.fault, hasHappened: false, passages };
    return true;
  }

  async #pay(bytes: number): Promise<void> {
    if (this.bytesPerSecond === Number.POSITIVE_INFINITY) return;
    const now = performance.now();
    this.#paidUntil = Math.max(now, this.#paidUntil) + (bytes / this.bytesPerSecond) * 1000;
    if (this.#paidUntil - now > 1) await sleep(this.#paidUntil - now);
  }

  /** What comes through of a chunk. */
  #misbehave(link: Link, direction: Direction, chunk: Buffer): Buffer {
    const { exchange } = link;
    if (exchange?.fault === undefined) return chunk;
    const { fault, passages } = exchange;
    if (fault.kind === 'answer') {
      if (this.#happensNow(exchange)) link.client.end(fault.text);
      return Buffer.alloc(0);
    }
    if (fault.direction !== direction) return chunk;
    const passage = passages[direction];
    const before = passage.passedBytes;
    passage.take(chunk);
    const place = passage.locate(fault.kind === 'flip' ? fault.atByte : fault.afterBytes);
    // A place behind what has come so far, or one that there is not.
    if (place === null || place >= passage.passedBytes) return chunk;
    const isNew = this.#happensNow(exchange);
    if (fault.kind === 'flip') return isNew ? flipped(chunk, place - before) : chunk;
    if (fault.kind === 'reset') resetBoth(link);
    return chunk.subarray(0, Math.max(0, place - before));
  }

  #happensNow(exchange: Exchange): boolean {
    if (exchange.hasHappened) return false;
    exchange.hasHappened = true;
    this.#happened += 1;
    return true;
  }
}

interface Link {
  readonly client: Socket;
  readonly server: Socket;
  /** The request under way, or the last one. */
  exchange: Exchange | undefined;
}

interface Exchange {
  readonly fault: Fault | undefined;
  readonly passages: Readonly<Record<Direction, HttpPassage>>;
  hasHappened: boolean;
}

function flipped(chunk: Buffer, index: number): Buffer {
  const copy = Buffer.from(chunk);
  const byte = copy[index];
  if (byte !== undefined) copy[index] = byte ^ 1;
  return copy;
}

function resetBoth({ client, server }: Link): void {
  client.resetAndDestroy();
  server.resetAndDestroy();
}
