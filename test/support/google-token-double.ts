import { execFileSync } from 'node:child_process';
import { createPublicKey, generateKeyPairSync, randomUUID, verify, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';

const tokenHost = 'oauth2.googleapis.com';
const tokenUrl = `https://${tokenHost}/token`;
const account = 'backup@test-project.iam.gserviceaccount.com';
const wantedScope = 'https://www.googleapis.com/auth/devstorage.full_control';

/**
 * Google's token endpoint, whose address is fixed: it is reached through a proxy (HTTPS_PROXY) that leads there and
 * nowhere else, and has a certificate of an authority of its own. It gives access tokens for signed assertions
 * ("Using OAuth 2.0 for Server to Server Applications", RFC 7523), whose every claim it checks.
 */
export class GoogleTokenDouble implements AsyncDisposable {
  /** Tokens that were given and are valid. */
  readonly tokens = new Set<string>();
  /** PEM file of the authority to trust. */
  readonly caFile: string;
  /** The key file of a service account, for GOOGLE_APPLICATION_CREDENTIALS. */
  readonly keyFile: string;
  /** Assertions that were refused or granted. */
  requests = 0;
  /** What requests that came in the clear, for whatever host, said of who they are. All are refused. */
  readonly plainRequests: string[] = [];
  /** How far this server's clock is ahead. */
  clockAheadMs = 0;
  /** An error to answer with, instead of looking at the assertion. */
  failure: { readonly status: number; readonly body: unknown } | undefined;
  #publicKey: KeyObject | undefined;
  readonly #server: Server;
  readonly #proxy: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(folder: string) {
    this.caFile = join(folder, 'google-ca.crt');
    this.keyFile = join(folder, 'service-account.json');
    const key = join(folder, 'google-ca.key');
    makeCertificate(key, this.caFile);
    const tls = { key: readFileSync(key), cert: readFileSync(this.caFile) };
    this.#server = createHttpsServer(tls, (request, response) => void this.#serve(request, response));
    this.#proxy = createHttpServer(({ headers }, response) => {
      this.plainRequests.push(headers.authorization ?? '');
      response.writeHead(403).end();
    });
    this.#proxy.on('connect', (request, client) => this.#tunnel(request, client as Socket));
  }

  /** Keeps its files in `folder`, whose owner removes them. */
  static async start(folder: string): Promise<GoogleTokenDouble> {
    const double = new GoogleTokenDouble(folder);
    for (const server of [double.#server, double.#proxy]) {
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
    }
    await double.writeKeyFile();
    return double;
  }

  /** The value of HTTPS_PROXY. */
  get proxyUrl(): string {
    return `http://127.0.0.1:${(this.#proxy.address() as AddressInfo).port}`;
  }

  /** Makes a new key for the account and writes its file; with `isKnown` false this server does not learn it. */
  async writeKeyFile(isKnown = true): Promise<void> {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    if (isKnown) this.#publicKey = createPublicKey(publicKey.export({ type: 'spki', format: 'pem' }));
    const content = {
      type: 'service_account',
      project_id: 'test-project',
      private_key_id: randomUUID(),
      private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
      client_email: account,
      client_id: '1',
      token_uri: tokenUrl,
    };
    await writeFile(this.keyFile, JSON.stringify(content));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.closeAllConnections();
    this.#proxy.closeAllConnections();
    for (const server of [this.#server, this.#proxy]) {
      server.close();
      await once(server, 'close');
    }
  }

  #tunnel(request: IncomingMessage, client: Socket): void {
    if (request.url !== `${tokenHost}:443`) return void client.end('HTTP/1.1 403 Forbidden\r\n\r\n');
    const server = connect((this.#server.address() as AddressInfo).port, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      client.pipe(server).pipe(client);
    });
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        client.destroy();
        server.destroy();
      });
    }
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    this.requests += 1;
    const problem = this.failure ?? this.#problemOf(request, new URLSearchParams(Buffer.concat(chunks).toString()));
    const token = `token-${randomUUID()}`;
    if (problem === undefined) this.tokens.add(token);
    const body = problem?.body ?? { access_token: token, token_type: 'Bearer', expires_in: 3600 };
    response.writeHead(problem?.status ?? 200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  }

  #problemOf({ method, url }: IncomingMessage, form: URLSearchParams): { status: number; body: unknown } | undefined {
    const isGrant = form.get('grant_type') === 'urn:ietf:params:oauth:grant-type:jwt-bearer';
    if (method !== 'POST' || url !== '/token' || !isGrant)
      return oauthError('unsupported_grant_type', 'Invalid request');
    const [header = '', payload = '', signature = ''] = (form.get('assertion') ?? '').split('.');
    const { alg } = decode(header);
    const key = this.#publicKey;
    const isSigned =
      alg === 'RS256' &&
      key !== undefined &&
      verify('RSA-SHA256', Buffer.from(`${header}.${payload}`), key, Buffer.from(signature, 'base64url'));
    if (!isSigned) return oauthError('invalid_grant', 'Invalid JWT Signature.');
    return this.#problemOfClaims(decode(payload));
  }

  #problemOfClaims(claims: Readonly<Record<string, unknown>>): { status: number; body: unknown } | undefined {
    const { iss, aud, scope, iat, exp } = claims;
    if (iss !== account) return oauthError('invalid_grant', 'Invalid grant: account not found');
    if (aud !== tokenUrl) return oauthError('invalid_grant', 'Invalid JWT: Failed audience check.');
    if (typeof scope !== 'string' || !scope.split(' ').includes(wantedScope)) {
      return oauthError('invalid_scope', 'Invalid OAuth scope or ID token audience provided.');
    }
    const now = (Date.now() + this.clockAheadMs) / 1000;
    const isTimely = Number(iat) <= now + 60 && Number(exp) > now && Number(exp) - Number(iat) <= 3600;
    if (isTimely) return undefined;
    const text =
      'Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.';
    return oauthError('invalid_grant', text);
  }
}

function oauthError(error: string, description: string): { status: number; body: unknown } {
  return { status: 400, body: { error, error_description: description } };
}

function decode(part: string): Readonly<Record<string, unknown>> {
  return JSON.parse(Buffer.from(part, 'base64url').toString('utf8')) as Record<string, unknown>;
}

function makeCertificate(keyFile: string, certificateFile: string): void {
  const name = ['-subj', `/CN=${tokenHost}`, '-addext', `subjectAltName=DNS:${tokenHost}`];
  const request = [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-days',
    '2',
    '-keyout',
    keyFile,
    '-out',
    certificateFile,
  ];
  execFileSync('openssl', [...request, ...name], { stdio: 'ignore' });
}
