import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { openStore } from '../../src/storage/open-store.ts';
import type { StoreDeps, StoreSettings } from '../../src/storage/store-settings.ts';
import { AzureDoubleContainer, type AzureBehaviour } from './azure-double-container.ts';
import { AzureFailure, checkAuthorized, type AzureAnswer, type AzureRequest } from './azure-double-request.ts';

const account = 'librelogdouble';
const container = 'backups';

interface Fault {
  readonly request: RegExp;
  readonly answer: AzureAnswer | 'lose the answer';
}

/**
 * A double of the blob service over TLS, after its REST reference, for what no server at hand has: encryption scopes,
 * customer-provided keys and immutability. It checks the signature, version, digests, conditions, keys and locks of every
 * request, answers the documented errors, and misbehaves as `behaviour` says.
 */
export class AzureDouble implements AsyncDisposable {
  readonly behaviour: AzureBehaviour = {
    takesLocks: false,
    keepsVersions: false,
    onlyScope: undefined,
    ignores: new Set(),
    pageSize: 3,
  };
  readonly requests: AzureRequest[] = [];
  readonly blobs = new AzureDoubleContainer(this.behaviour);
  readonly key = randomBytes(64).toString('base64');
  readonly token = randomBytes(32).toString('hex');
  /** Subtracted from the server's own time. */
  clockLagMs = 0;
  readonly #faults: Fault[] = [];
  readonly #folder: string;
  readonly #server: Server;

  private constructor(folder: string, credentials: { readonly key: Buffer; readonly cert: Buffer }) {
    this.#folder = folder;
    this.#server = createServer(credentials, (incoming, response) => void this.#answer(incoming, response));
  }

  static async start(): Promise<AzureDouble> {
    const folder = await mkdtemp(join(tmpdir(), 'azure-double-'));
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
    const files = ['-keyout', key, '-out', cert];
    execFileSync('openssl', ['req', '-x509', '-nodes', '-days', '2', ...curve, ...files, ...subject], {
      stdio: 'ignore',
    });
    const double = new AzureDouble(folder, { key: await readFile(key), cert: await readFile(cert) });
    double.#server.listen(0, '127.0.0.1');
    await once(double.#server, 'listening');
    return double;
  }

  get endpoint(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}/${account}`;
  }

  /** Opens the store at `az://librelogdouble/backups/PREFIX`, with the account's key and short waits. */
  async open(prefix: string, settings: StoreSettings = {}, deps: StoreDeps = {}): Promise<ObjectStore> {
    return await this.openAddress(`az://${account}/${container}/${prefix}`, settings, deps);
  }

  async openAddress(address: string, settings: StoreSettings = {}, deps: StoreDeps = {}): Promise<ObjectStore> {
    const azure = { endpoint: this.endpoint, caFile: join(this.#folder, 'cert.pem'), ...settings.azure };
    const env = { AZURE_STORAGE_KEY: this.key, ...deps.env };
    return await openStore(address, { ...settings, azure }, { timings: impatient, ...deps, env });
  }

  /** Forgets blobs, blocks, faults and misbehaviour. */
  reset(): void {
    Object.assign(this.behaviour, { takesLocks: false, keepsVersions: false, onlyScope: undefined });
    this.behaviour.ignores.clear();
    this.blobs.blobs.clear();
    this.blobs.versions.clear();
    this.blobs.uncommitted.clear();
    this.requests.length = 0;
    this.#faults.length = 0;
    this.clockLagMs = 0;
  }

  /**
   * The next request whose line (`PUT /account/container/name?comp=block`) matches is not served: this error of the
   * service is the answer, with these headers.
   */
  fail(request: RegExp, error: AzureFailure, headers: Readonly<Record<string, string>> = {}): void {
    const answer = error.toAnswer();
    this.#faults.push({ request, answer: { ...answer, headers: { ...answer.headers, ...headers } } });
  }

  /** The next request that matches is served, and its answer never arrives. */
  loseAnswer(request: RegExp): void {
    this.#faults.push({ request, answer: 'lose the answer' });
  }

  get pendingFaults(): number {
    return this.#faults.length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
    await rm(this.#folder, { recursive: true });
  }

  async #answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk);
    } catch {
      return;
    }
    const { method = '', headers } = incoming;
    const request = { method, url: new URL(incoming.url ?? '', this.endpoint), headers, body: Buffer.concat(chunks) };
    this.requests.push(request);
    const fault = this.#takeFault(`${method} ${incoming.url}`);
    const answer = fault === undefined || fault === 'lose the answer' ? this.#serve(request) : fault;
    if (fault === 'lose the answer') {
      incoming.socket.destroy();
      return;
    }
    const now = new Date(Date.now() - this.clockLagMs).toUTCString();
    response.writeHead(answer.status, {
      date: now,
      'x-ms-version': String(headers['x-ms-version']),
      ...answer.headers,
    });
    response.end(method === 'HEAD' ? undefined : answer.body);
  }

  #serve(request: AzureRequest): AzureAnswer {
    try {
      const nowMs = Date.now() - this.clockLagMs;
      checkAuthorized(request, { account, accountKey: this.key, token: this.token, nowMs });
      const [, , named, ...rest] = request.url.pathname.split('/').map(decodeURIComponent);
      if (named !== container) throw new AzureFailure(404, 'ContainerNotFound');
      const name = rest.join('/');
      return name === '' ? this.blobs.list(request) : this.blobs.handle(name, request);
    } catch (error) {
      if (error instanceof AzureFailure) return error.toAnswer();
      throw error;
    }
  }

  #takeFault(line: string): Fault['answer'] | undefined {
    const index = this.#faults.findIndex(({ request }) => request.test(line));
    return index === -1 ? undefined : this.#faults.splice(index, 1)[0]?.answer;
  }
}

/** Waits for a server that answers at once or never. */
const impatient = {
  connectTimeoutMs: 2_000,
  idleTimeoutMs: 2_000,
  retry: { attempts: 3, firstDelayMs: 1, maxDelayMs: 5 },
  patientRetry: { attempts: 4, firstDelayMs: 1, maxDelayMs: 5 },
};
