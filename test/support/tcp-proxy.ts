import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** `up`: from the client to the server; `down`: the answer. Bytes are counted from the matching request on. */
export type Fault =
  /** Both ends see their connection reset; with `down` and 0 bytes the request was served and its answer is lost. */
  | { readonly kind: 'reset'; readonly direction: 'up' | 'down'; readonly afterBytes: number }
  /** Nothing more comes through, and the connection stays open. */
  | { readonly kind: 'stall'; readonly direction: 'up' | 'down'; readonly afterBytes: number }
  /** One bit of the byte at this place arrives changed. */
  | { readonly kind: 'flip'; readonly direction: 'up' | 'down'; readonly atByte: number }
  /** The request does not reach the server; this text is the answer. */
  | { readonly kind: 'answer'; readonly text: string };

interface Rule {
  readonly request: RegExp;
  readonly fault: Fault;
  times: number;
}

/** A proxy for HTTP servers on this machine that misbehaves as told. */
export class TcpProxy implements AsyncDisposable {
  /** Delay of every piece in both directions. */
  latencyMs = 0;
  /** The head lines (`PUT /bucket/key HTTP/1.1`) of all requests seen. */
  readonly requests: string[] = [];
  readonly #targetPort: number;
  readonly #sockets = new Set<Socket>();
  readonly #rules: Rule[] = [];
  #server: Server | undefined;
  #port = 0;

  private constructor(targetPort: number) {
    this.#targetPort = targetPort;
  }

  static async start(targetPort: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(targetPort);
    await proxy.resume();
    return proxy;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Faults that were asked for and have not happened yet. */
  get pendingFaults(): number {
    return this.#rules.reduce((sum, rule) => sum + rule.times, 0);
  }

  /** The next `times` requests whose first line matches meet this fault. */
  inject(request: RegExp, fault: Fault, times = 1): void {
    this.#rules.push({ request, fault, times });
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
    const link: Link = { client, server, fault: undefined, passed: 0 };
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

  async #pump(link: Link, direction: 'up' | 'down'): Promise<void> {
    const [from, to] = direction === 'up' ? [link.client, link.server] : [link.server, link.client];
    try {
      for await (const chunk of from as AsyncIterable<Buffer>) {
        if (direction === 'up') this.#armFault(link, chunk);
        if (this.latencyMs > 0) await sleep(this.latencyMs);
        const passing = misbehave(link, direction, chunk);
        if (passing.byteLength > 0 && !to.destroyed && !to.write(passing)) await once(to, 'drain');
      }
      to.end();
    } catch {
      to.destroy();
    }
  }

  /** A request begins with its own packet, since nobody sends two at once on one connection. */
  #armFault(link: Link, chunk: Buffer): void {
    const [, line] = /^([A-Z]+ \S+ HTTP\/1\.1)\r\n/.exec(chunk.subarray(0, 4096).toString('latin1')) ?? [];
    if (line === undefined) return;
    this.requests.push(line);
    const rule = this.#rules.find(({ request, times }) => times > 0 && request.test(line));
    link.fault = rule?.fault;
    link.passed = 0;
    if (rule !== undefined) rule.times -= 1;
  }
}

interface Link {
  readonly client: Socket;
  readonly server: Socket;
  fault: Fault | undefined;
  /** Bytes that came in the fault's direction since it was armed. */
  passed: number;
}

/** What comes through of a chunk. */
function misbehave(link: Link, direction: 'up' | 'down', chunk: Buffer): Buffer {
  const { fault } = link;
  if (fault === undefined) return chunk;
  if (fault.kind === 'answer') {
    if (direction === 'up') link.client.end(fault.text);
    return Buffer.alloc(0);
  }
  if (fault.direction !== direction) return chunk;
  const before = link.passed;
  link.passed += chunk.byteLength;
  if (fault.kind === 'flip') return flipped(chunk, fault.atByte - before);
  if (link.passed <= fault.afterBytes) return chunk;
  if (fault.kind === 'reset') resetBoth(link);
  return chunk.subarray(0, Math.max(0, fault.afterBytes - before));
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
