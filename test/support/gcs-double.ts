import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  assertReadable,
  assertUnlocked,
  customerKeyOf,
  makeDoubleBucket,
  Refusal,
  type DoubleBucket,
  type DoubleObject,
} from './gcs-double-objects.ts';
import { DoubleUploads, type Misbehaviour, type SessionAnswer } from './gcs-double-uploads.ts';

export interface DoubleRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingMessage['headers'];
}

interface PlannedRefusal {
  readonly request: RegExp;
  readonly refusal: Refusal;
  times: number;
}

/**
 * Cloud Storage as its JSON API is documented, as far as the store uses it: what no emulator knows - access tokens,
 * customer-supplied and Cloud KMS keys, retention and holds, the rules of upload sessions - is checked in every request.
 * It can be told to refuse, and to misbehave.
 */
export class GcsDouble implements AsyncDisposable {
  readonly buckets = new Map<string, DoubleBucket>();
  readonly requests: DoubleRequest[] = [];
  /** Every request must carry one of them; without the set none is asked for. */
  tokens: ReadonlySet<string> | undefined;
  /** Objects of one page of a list. */
  pageSize = 1000;
  readonly #uploads = new DoubleUploads();
  readonly #planned: PlannedRefusal[] = [];
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  static async start(...bucketNames: readonly string[]): Promise<GcsDouble> {
    const double = new GcsDouble();
    for (const name of bucketNames) double.buckets.set(name, makeDoubleBucket());
    double.#server.listen(0, '127.0.0.1');
    await once(double.#server, 'listening');
    return double;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get misbehaviour(): Misbehaviour {
    return this.#uploads.misbehaviour;
  }

  /** Cloud KMS keys that Cloud Storage may use. */
  get kmsKeys(): Set<string> {
    return this.#uploads.kmsKeys;
  }

  /** Names of objects whose upload was begun and neither finished nor cancelled. */
  get unfinished(): string[] {
    const sessions = this.#uploads.sessions.values().filter(({ made }) => made === undefined);
    return sessions.map(({ draft }) => String(draft.metadata['name'])).toArray();
  }

  /** Bytes of unfinished uploads. */
  get unfinishedBytes(): number {
    return this.#uploads.sessions.values().reduce((sum, { content }) => sum + content.byteLength, 0);
  }

  bucket(name: string): DoubleBucket {
    const bucket = this.buckets.get(name);
    if (bucket !== undefined) return bucket;
    throw new Refusal(404, 'notFound', 'The specified bucket does not exist.');
  }

  object(bucketName: string, name: string): DoubleObject | undefined {
    return this.buckets.get(bucketName)?.objects.get(name);
  }

  /** The next `times` requests whose method and address match are refused. */
  refuse(request: RegExp, refusal: Refusal, times = 1): void {
    this.#planned.push({ request, refusal, times });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(incoming.url ?? '', this.endpoint);
    // Leaving a request in the middle of its body takes its socket away, which stays open.
    const { method = '', headers, socket } = incoming;
    const request = { method, url, headers };
    this.requests.push(request);
    const received: Buffer[] = [];
    const { cutAfterBytes = Number.POSITIVE_INFINITY } = this.misbehaviour;
    try {
      for await (const chunk of incoming as AsyncIterable<Buffer>) {
        received.push(chunk);
        const sizeBytes = received.reduce((sum, { byteLength }) => sum + byteLength, 0);
        if (sizeBytes >= cutAfterBytes) throw new Error('cut');
      }
    } catch {
      this.#uploads.keepPartly(url.searchParams.get('upload_id') ?? '', Buffer.concat(received));
      socket.destroy();
      return;
    }
    try {
      this.#refuseAsPlanned(request);
      this.#authorize(headers.authorization);
      this.#route(request, Buffer.concat(received), response);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      answerRefusal(response, error, url.searchParams.get('alt') === 'media');
    }
  }

  #refuseAsPlanned({ method, url }: DoubleRequest): void {
    const text = `${method} ${url.pathname}${url.search}`;
    const planned = this.#planned.find(({ request, times }) => times > 0 && request.test(text));
    if (planned === undefined) return;
    planned.times -= 1;
    throw planned.refusal;
  }

  #authorize(authorization: string | undefined): void {
    if (this.tokens === undefined) {
      if (authorization !== undefined) throw new Refusal(401, 'authError', 'Invalid Credentials');
      return;
    }
    const token = /^Bearer (\S+)$/.exec(authorization ?? '')?.[1];
    if (token === undefined) throw new Refusal(401, 'required', 'Anonymous caller does not have access.');
    if (!this.tokens.has(token)) throw new Refusal(401, 'authError', 'Invalid Credentials');
  }

  #route(request: DoubleRequest, body: Buffer, response: ServerResponse): void {
    const { method, url } = request;
    const [, upload, bucketName = '', name] =
      /^(\/upload)?\/storage\/v1\/b\/([^/]+)\/o(?:\/([^/]+))?$/.exec(url.pathname) ?? [];
    const bucket = this.bucket(decodeURIComponent(bucketName));
    const place = { bucketName: decodeURIComponent(bucketName), bucket };
    if (upload !== undefined) return this.#upload(request, { ...place, body }, response);
    if (name === undefined && method === 'GET') return answerJson(response, 200, this.#list(url.searchParams, bucket));
    const object = bucket.objects.get(decodeURIComponent(name ?? ''));
    const generation = url.searchParams.get('generation') ?? object?.resource.generation;
    if (object === undefined || generation !== object.resource.generation) {
      throw new Refusal(404, 'notFound', `No such object: ${place.bucketName}/${name}`);
    }
    return useObject(request, { ...place, object, body }, response);
  }

  #upload(
    request: DoubleRequest,
    { bucketName, bucket, body }: { bucketName: string; bucket: DoubleBucket; body: Buffer },
    response: ServerResponse,
  ): void {
    const { method, url, headers } = request;
    const upload = { query: url.searchParams, headers, bucketName, bucket };
    const id = url.searchParams.get('upload_id');
    if (method === 'POST' && url.searchParams.get('uploadType') === 'multipart') {
      const { metadata, content } = parseMultipart(headers['content-type'] ?? '', body);
      const object = this.#uploads.insert(upload, metadata, content);
      return answerJson(response, 200, visibleResource(object, object.keySha256));
    }
    if (method === 'POST' && url.searchParams.get('uploadType') === 'resumable') {
      const session = this.#uploads.begin(upload, parseJson(body));
      const location = `${this.endpoint}/upload/storage/v1/b/${bucketName}/o?uploadType=resumable&upload_id=${session}`;
      return void response.writeHead(200, { location, 'content-length': '0' }).end();
    }
    if (id === null) throw new Refusal(400, 'wrongUrlForUpload', 'Bad Request');
    const session = this.#uploads.session(id, headers);
    if (method === 'DELETE') {
      this.#uploads.sessions.delete(id);
      return void response.writeHead(499, { 'content-length': '0' }).end();
    }
    const hash = headers['x-goog-hash'];
    const range = headers['content-range'] ?? '';
    const answer = this.#uploads.receive(session, range, { body, hash: typeof hash === 'string' ? hash : undefined });
    return answerSession(response, answer);
  }

  #list(query: URLSearchParams, bucket: DoubleBucket): unknown {
    if (bucket.denied.has('list')) throw new Refusal(403, 'forbidden', 'does not have storage.objects.list access');
    const after = query.get('pageToken') ?? '';
    const limit = Math.min(this.pageSize, Number(query.get('maxResults') ?? this.pageSize));
    const names = [...bucket.objects.keys()].filter((name) => name.startsWith(query.get('prefix') ?? '')).toSorted();
    const rest = names.filter((name) => name > after);
    const items = rest.slice(0, limit).map((name) => bucket.objects.get(name)?.resource);
    const isMore = rest.length > limit;
    return { kind: 'storage#objects', items, ...(isMore && { nextPageToken: rest[limit - 1] }) };
  }
}

function useObject(
  request: DoubleRequest,
  { body, ...place }: { bucketName: string; bucket: DoubleBucket; object: DoubleObject; body: Buffer },
  response: ServerResponse,
): void {
  const { method, url, headers } = request;
  const { bucket, object } = place;
  if (method === 'DELETE') return remove(place, object, response);
  if (method === 'PATCH') return patch(object, { url, changes: parseJson(body) }, response);
  if (bucket.denied.has('get')) throw new Refusal(403, 'forbidden', 'does not have storage.objects.get access');
  if (url.searchParams.get('alt') === 'media') return download(request, object, response);
  return answerJson(response, 200, visibleResource(object, customerKeyOf(headers)));
}

function remove(
  { bucketName, bucket }: { bucketName: string; bucket: DoubleBucket },
  object: DoubleObject,
  response: ServerResponse,
): void {
  if (bucket.denied.has('delete')) throw new Refusal(403, 'forbidden', 'does not have storage.objects.delete access');
  assertUnlocked(bucketName, object);
  bucket.objects.delete(object.resource.name);
  response.writeHead(204).end();
}

/** `Objects: patch`, for holds and retention. What is locked stays. */
function patch(
  object: DoubleObject,
  { url, changes }: { url: URL; changes: Record<string, unknown> },
  response: ServerResponse,
): void {
  const { resource } = object;
  if (changes['temporaryHold'] === false) delete resource.temporaryHold;
  if (changes['retention'] === null && resource.retention !== undefined) {
    const isLiftable =
      resource.retention.mode === 'Unlocked' && url.searchParams.get('overrideUnlockedRetention') === 'true';
    if (!isLiftable) throw new Refusal(403, 'retentionPolicyNotMet', 'The retention cannot be removed.');
    delete resource.retention;
  }
  answerJson(response, 200, resource);
}

function download({ headers }: DoubleRequest, object: DoubleObject, response: ServerResponse): void {
  assertReadable(object, customerKeyOf(headers));
  const { content, resource } = object;
  const generation = { 'x-goog-generation': resource.generation };
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? [];
  if (first === undefined) return void response.writeHead(200, generation).end(content);
  const end = Math.min(Number(last) + 1, content.byteLength);
  if (Number(first) >= content.byteLength) {
    throw new Refusal(416, 'requestedRangeNotSatisfiable', 'Request range not satisfiable');
  }
  const piece = content.subarray(Number(first), end);
  const range = `bytes ${first}-${end - 1}/${content.byteLength}`;
  response.writeHead(206, { ...generation, 'content-range': range, 'content-length': piece.byteLength }).end(piece);
}

/** Checksums are shown to who has the key. */
function visibleResource({ resource, keySha256 }: DoubleObject, givenSha256: string | undefined): unknown {
  const isVisible = keySha256 === undefined || keySha256 === givenSha256;
  return isVisible ? resource : { ...resource, md5Hash: undefined };
}

function answerSession(response: ServerResponse, answer: SessionAnswer): void {
  if (answer.status === 200) return answerJson(response, 200, visibleResource(answer.object, answer.object.keySha256));
  const range = answer.persisted === 0 ? {} : { range: `bytes=0-${answer.persisted - 1}` };
  response.writeHead(308, { ...range, 'content-length': '0' }).end();
}

function answerJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=UTF-8' }).end(JSON.stringify(value));
}

/** Downloads are refused in plain text, everything else in JSON. */
function answerRefusal(response: ServerResponse, refusal: Refusal, isDownload: boolean): void {
  const { status, reason, message, retryAfter } = refusal;
  const headers = retryAfter === undefined ? {} : { 'retry-after': retryAfter };
  if (isDownload) return void response.writeHead(status, { 'content-type': 'text/html', ...headers }).end(message);
  const error = { code: status, message, errors: [{ domain: 'global', reason, message }] };
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify({ error }));
}

function parseJson(body: Buffer): Record<string, unknown> {
  return JSON.parse(body.toString('utf8')) as Record<string, unknown>;
}

/** "Multipart upload" of the JSON API: metadata, then content, as `multipart/related` (RFC 2387). */
function parseMultipart(contentType: string, body: Buffer): { metadata: Record<string, unknown>; content: Buffer } {
  const boundary = /^multipart\/related; boundary=(\S+)$/.exec(contentType)?.[1];
  const [first, second] = [body.indexOf(`--${boundary}\r\n`), body.indexOf(`\r\n--${boundary}\r\n`)];
  const end = body.byteLength - `\r\n--${boundary}--\r\n`.length;
  if (boundary === undefined || first !== 0 || second < 0 || body.indexOf(`\r\n--${boundary}--\r\n`, end) !== end) {
    throw new Refusal(400, 'badContent', 'Multipart content is malformed');
  }
  const part = (from: number, to: number): Buffer => body.subarray(body.indexOf('\r\n\r\n', from) + 4, to);
  return { metadata: parseJson(part(first, second)), content: part(second + 4, end) };
}
