import { createPublicKey, generateKeyPairSync, randomUUID, verify, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { readBody, sendAnswer, type JsonAnswer } from './json-exchange.ts';

const account = 'backup@test-project.iam.gserviceaccount.com';
const wantedScope = 'https://www.googleapis.com/auth/cloud-platform';

export interface RestRequest {
  readonly method: string;
  /** Decoded, without the query. */
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly body: Readonly<Record<string, unknown>>;
}

/**
 * What Google Cloud's REST services have in common: tokens that a service account signs itself (RFC 7523, "Self-signed
 * JWTs" of Google's authentication documentation), whose every claim is checked, JSON, and errors in their one form.
 */
export class GcpRestDouble implements AsyncDisposable {
  /** The key file of a service account that is known here, for GOOGLE_APPLICATION_CREDENTIALS. */
  readonly keyFile: string;
  /** Every request with a valid token. */
  readonly requests: RestRequest[] = [];
  /** Answers to give to the next requests instead; `hang` gives half an answer. */
  readonly failures: (JsonAnswer | 'hang' | 'cut')[] = [];
  #port = 0;
  #publicKey: KeyObject | undefined;
  readonly #server: Server;

  private constructor(folder: string, handle: (request: RestRequest) => JsonAnswer) {
    this.keyFile = join(folder, `account-${randomUUID()}.json`);
    this.#server = createServer((request, response) => void this.#serve(request, response, handle));
  }

  /** Keeps its files in `folder`, whose owner removes them. */
  static async start(folder: string, handle: (request: RestRequest) => JsonAnswer): Promise<GcpRestDouble> {
    const double = new GcpRestDouble(folder, handle);
    double.#server.listen(0, '127.0.0.1');
    await once(double.#server, 'listening');
    double.#port = (double.#server.address() as AddressInfo).port;
    await double.#writeKeyFile();
    return double;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** The account is known no more. */
  forgetAccount(): void {
    this.#publicKey = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #writeKeyFile(): Promise<void> {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    this.#publicKey = createPublicKey(publicKey.export({ type: 'spki', format: 'pem' }));
    const content = {
      type: 'service_account',
      project_id: 'test-project',
      private_key_id: randomUUID(),
      private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
      client_email: account,
      client_id: '1',
      token_uri: 'https://oauth2.googleapis.com/token',
    };
    await writeFile(this.keyFile, JSON.stringify(content));
  }

  async #serve(
    incoming: IncomingMessage,
    response: ServerResponse,
    handle: (request: RestRequest) => JsonAnswer,
  ): Promise<void> {
    sendAnswer(response, this.#answer(incoming, await readBody(incoming), handle));
  }

  #answer(
    { method = '', url = '', headers }: IncomingMessage,
    bytes: Buffer,
    handle: (request: RestRequest) => JsonAnswer,
  ): JsonAnswer | 'hang' | 'cut' {
    if (!this.#isKnown(headers.authorization ?? '')) {
      return googleError('UNAUTHENTICATED', 'Request had invalid authentication credentials.');
    }
    const { pathname, searchParams } = new URL(url, 'http://localhost');
    if (bytes.byteLength > 0 && headers['content-type'] !== 'application/json') {
      return googleError('INVALID_ARGUMENT', 'Invalid content type.');
    }
    const body = bytes.byteLength === 0 ? {} : (JSON.parse(bytes.toString('utf8')) as RestRequest['body']);
    const query = Object.fromEntries(searchParams);
    const request = { method, path: decodeURIComponent(pathname), query, body };
    this.requests.push(request);
    return this.failures.shift() ?? handle(request);
  }

  #isKnown(authorization: string): boolean {
    const [header = '', payload = '', signature = ''] = authorization.replace(/^Bearer /, '').split('.');
    const key = this.#publicKey;
    if (key === undefined || decode(header)['alg'] !== 'RS256') return false;
    const isSigned = verify(
      'RSA-SHA256',
      Buffer.from(`${header}.${payload}`),
      key,
      Buffer.from(signature, 'base64url'),
    );
    const { iss, sub, scope, iat, exp } = decode(payload);
    const now = Date.now() / 1000;
    const isTimely = Number(iat) <= now + 60 && Number(exp) > now && Number(exp) - Number(iat) <= 3600;
    return isSigned && isTimely && iss === account && sub === account && scope === wantedScope;
  }
}

function decode(part: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(Buffer.from(part, 'base64url').toString('utf8')) as Record<string, unknown>;
  } catch {
    return {};
  }
}

/** HTTP statuses of `google.rpc.Code`. */
const httpStatuses = {
  INVALID_ARGUMENT: 400,
  FAILED_PRECONDITION: 400,
  UNAUTHENTICATED: 401,
  PERMISSION_DENIED: 403,
  NOT_FOUND: 404,
  ALREADY_EXISTS: 409,
  RESOURCE_EXHAUSTED: 429,
  INTERNAL: 500,
  UNAVAILABLE: 503,
} as const;

export function googleError(status: keyof typeof httpStatuses, message: string): JsonAnswer {
  const code = httpStatuses[status];
  return { status: code, body: { error: { code, message, status } } };
}

/** CRC-32C bit by bit, so that the table of the code under test is not tested with itself. */
export function castagnoli(bytes: Uint8Array): string {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ 0x82f63b78;
  }
  return String(~crc >>> 0);
}
