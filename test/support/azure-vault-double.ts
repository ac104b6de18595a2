import { execFileSync } from 'node:child_process';
import {
  constants,
  createCipheriv,
  createDecipheriv,
  generateKeyPairSync,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
  randomUUID,
  type KeyObject,
} from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { readBody, sendAnswer, type JsonAnswer } from './json-exchange.ts';

interface Version {
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  isEnabled: boolean;
  /** Seconds since 1970. */
  expires?: number;
}

export interface SecretVersion extends Version {
  readonly value: string;
  readonly contentType?: string;
  readonly tags?: Readonly<Record<string, string>>;
}

export interface KeyVersion extends Version {
  readonly type: 'RSA' | 'RSA-HSM' | 'oct-HSM' | 'EC';
  readonly secret: { readonly publicKey: KeyObject; readonly privateKey: KeyObject } | Buffer;
}

interface VaultRequest {
  readonly method: string;
  readonly pathname: string;
  /** `secrets` or `keys`, and the parts of the path after that. */
  readonly kind: string;
  readonly name: string;
  readonly id: string;
  readonly verb: string;
  readonly query: URLSearchParams;
  readonly isJson: boolean;
}

const nothing: JsonAnswer = { status: 404, body: '<html>Not Found</html>' };

/** So that a test need not make dozens of versions to get a second page. */
const pageSize = 2;

/**
 * One Azure Key Vault (REST reference, "Get Secret", "Set Secret", "Get Secret Versions", "Get Key", "Create Key", "Rotate
 * Key", "Get Key Versions", "Wrap Key", "Unwrap Key"), over TLS with a certificate of
 * its own. It asks whoever comes without a known token for one of `resource`, as "Authentication, requests and responses"
 * says, and wraps for real: RSA-OAEP with SHA-256, and AES Key Wrap.
 */
export class AzureVaultDouble implements AsyncDisposable {
  readonly tokens = new Set<string>();
  readonly secrets = new Map<string, SecretVersion[]>();
  readonly keys = new Map<string, KeyVersion[]>();
  /** PEM file of the authority to trust. */
  readonly caFile: string;
  /** Requests with a known token: `GET /secrets/x/`, without the query. */
  readonly requests: string[] = [];
  /** Answers to give to the next requests with a token instead; `hang` gives half an answer. */
  readonly failures: (JsonAnswer | 'hang' | 'cut')[] = [];
  /** In how many of the next cases to make a version and cut the connection instead of saying so. */
  loseAnswers = 0;
  isPermitted = true;
  /** Whether the caller may do more than get, wrap and unwrap. */
  isOfficer = true;
  resource = 'https://vault.azure.net';
  #port = 0;
  readonly #server: Server;

  private constructor(folder: string) {
    const name = randomUUID();
    this.caFile = join(folder, `vault-${name}.crt`);
    const keyFile = join(folder, `vault-${name}.key`);
    makeCertificate(keyFile, this.caFile);
    const tls = { key: readFileSync(keyFile), cert: readFileSync(this.caFile) };
    this.#server = createServer(tls, (request, response) => void this.#serve(request, response));
  }

  /** Keeps its files in `folder`, whose owner removes them. */
  static async start(folder: string): Promise<AzureVaultDouble> {
    const double = new AzureVaultDouble(folder);
    double.#server.listen(0, '127.0.0.1');
    await once(double.#server, 'listening');
    double.#port = (double.#server.address() as AddressInfo).port;
    return double;
  }

  /** As it stands in a reference. */
  get host(): string {
    return `localhost:${this.#port}`;
  }

  addSecret(name: string, value: string, facts: Pick<SecretVersion, 'contentType' | 'tags'> = {}): SecretVersion {
    const version = { id: newId(), created: nowInSeconds(), isEnabled: true, value, ...facts };
    this.secrets.set(name, [...(this.secrets.get(name) ?? []), version]);
    return version;
  }

  addKey(name: string, type: KeyVersion['type']): KeyVersion {
    const secret = type === 'oct-HSM' ? randomBytes(32) : generateKeyPairSync('rsa', { modulusLength: 2048 });
    const version = { id: newId(), created: nowInSeconds(), isEnabled: true, type, secret };
    this.keys.set(name, [...(this.keys.get(name) ?? []), version]);
    return version;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    sendAnswer(response, this.#answer(incoming, await readBody(incoming)));
  }

  #answer(incoming: IncomingMessage, bytes: Buffer): JsonAnswer | 'hang' | 'cut' {
    const token = incoming.headers.authorization?.replace(/^Bearer /, '');
    if (token === undefined || !this.tokens.has(token)) return this.#challenge();
    const request = parseRequest(incoming);
    this.requests.push(`${request.method} ${request.pathname}`);
    return this.failures.shift() ?? this.#refusalOf(request.query) ?? this.#handle(request, bytes);
  }

  #refusalOf(query: URLSearchParams): JsonAnswer | undefined {
    if (!/^(\d{4}-\d\d-\d\d|7\.\d)$/.test(query.get('api-version') ?? '')) {
      return vaultError(400, 'BadParameter', 'The specified api-version is not supported.');
    }
    return this.isPermitted ? undefined : forbidden('ForbiddenByRbac', 'The caller is not authorized.');
  }

  #handle(request: VaultRequest, bytes: Buffer): JsonAnswer | 'cut' {
    const { method, isJson, kind, name, id, verb } = request;
    if (method === 'POST' && kind === 'keys' && isJson && verb.endsWith('wrapkey'))
      return this.#operate(request, bytes);
    if (method === 'GET' && id !== 'versions' && verb === '') return this.#get(kind, name, id);
    return this.isOfficer
      ? this.#administer(request, bytes)
      : forbidden('ForbiddenByRbac', 'The caller is not authorized.');
  }

  #get(kind: string, name: string, id: string): JsonAnswer {
    if (kind === 'secrets') return this.#getSecret(name, id);
    return kind === 'keys' ? this.#getKey(name, id) : nothing;
  }

  #administer(request: VaultRequest, bytes: Buffer): JsonAnswer | 'cut' {
    const { name, isJson } = request;
    const calls: Readonly<Record<string, () => JsonAnswer>> = {
      'GET secrets/versions': () => this.#list(this.secrets.get(name) ?? [], request),
      'GET keys/versions': () => this.#list(this.keys.get(name) ?? [], request),
      'PUT secrets/': () => (isJson ? this.#setSecret(name, bytes) : nothing),
      'POST keys/create': () => (isJson ? this.#createKey(name, bytes) : nothing),
      'POST keys/rotate': () => (bytes.byteLength === 0 ? this.#rotateKey(name) : nothing),
    };
    const answer = calls[`${request.method} ${request.kind}/${request.id}`]?.() ?? nothing;
    const isMade = request.method !== 'GET' && answer.status === 200;
    return isMade && this.loseAnswers-- > 0 ? 'cut' : answer;
  }

  /** A vault knows nothing of a name that it does not have: it lists no versions. */
  #list(versions: readonly (SecretVersion | KeyVersion)[], { pathname, query }: VaultRequest): JsonAnswer {
    const start = Number(query.get('$skiptoken') ?? 0);
    const next = start + pageSize;
    const url = `https://${this.host}${pathname}`;
    const value = versions.slice(start, next).map((version) => {
      const id = url.replace(/versions$/, version.id);
      return { [pathname.startsWith('/keys/') ? 'kid' : 'id']: id, attributes: attributesOf(version) };
    });
    const link = `${url}?api-version=${query.get('api-version')}&$skiptoken=${next}`;
    return { status: 200, body: { value, nextLink: next < versions.length ? link : null } };
  }

  #setSecret(name: string, bytes: Buffer): JsonAnswer {
    const { value, contentType, tags, ...others } = JSON.parse(bytes.toString('utf8')) as Record<string, unknown>;
    if (typeof value !== 'string' || !/^[0-9a-zA-Z-]{1,127}$/.test(name) || 'value' in others) {
      return vaultError(400, 'BadParameter', 'Property value is invalid.');
    }
    this.addSecret(name, value, {
      ...(typeof contentType === 'string' && { contentType }),
      ...(tags !== undefined && { tags: tags as Record<string, string> }),
    });
    return this.#getSecret(name, '');
  }

  #createKey(name: string, bytes: Buffer): JsonAnswer {
    const { kty, key_size, key_ops } = JSON.parse(bytes.toString('utf8')) as Record<string, unknown>;
    const isGood = (kty === 'RSA' && key_size === 3072) || (kty === 'oct-HSM' && key_size === 256);
    if (!isGood || JSON.stringify(key_ops) !== '["wrapKey","unwrapKey"]') {
      return vaultError(400, 'BadParameter', `Property of key type ${String(kty)} is invalid.`);
    }
    this.addKey(name, kty);
    return this.#getKey(name, '');
  }

  #rotateKey(name: string): JsonAnswer {
    const newest = this.keys.get(name)?.at(-1);
    if (newest === undefined) return keyNotFound(name, '');
    this.addKey(name, newest.type);
    return this.#getKey(name, '');
  }

  #challenge(): JsonAnswer {
    const authenticate = `Bearer authorization="https://login.microsoftonline.com/${randomUUID()}", resource="${this.resource}"`;
    const refusal = vaultError(401, 'Unauthorized', 'AKV10000: Request is missing a Bearer or PoP token.');
    return { ...refusal, headers: { 'www-authenticate': authenticate } };
  }

  #getSecret(name: string, id: string): JsonAnswer {
    const version = find(this.secrets.get(name), id);
    if (version === undefined) {
      return vaultError(
        404,
        'SecretNotFound',
        `A secret with (name/id) ${name}/${id} was not found in this key vault.`,
      );
    }
    if (!version.isEnabled) {
      return forbidden('SecretDisabled', 'Operation get is not allowed on a disabled secret.');
    }
    const url = `https://${this.host}/secrets/${name}/${version.id}`;
    const { value, contentType, tags } = version;
    return { status: 200, body: { value, contentType, tags, id: url, attributes: attributesOf(version) } };
  }

  #getKey(name: string, id: string): JsonAnswer {
    const version = find(this.keys.get(name), id);
    if (version === undefined) return keyNotFound(name, id);
    const kid = `https://${this.host}/keys/${name}/${version.id}`;
    const key = { kid, kty: version.type, key_ops: ['wrapKey', 'unwrapKey'] };
    return { status: 200, body: { key, attributes: attributesOf(version) } };
  }

  #operate({ name, id, verb }: VaultRequest, bytes: Buffer): JsonAnswer {
    const version = find(this.keys.get(name), id);
    if (version === undefined) return keyNotFound(name, id);
    if (!version.isEnabled) {
      return forbidden('KeyDisabled', `Operation ${verb} is not allowed on a disabled key.`);
    }
    const hasExpired = version.expires !== undefined && version.expires * 1000 < Date.now();
    if (verb === 'wrapkey' && hasExpired) {
      return vaultError(403, 'Forbidden', 'Operation wrapKey is not allowed on an expired key.');
    }
    const { alg, value } = JSON.parse(bytes.toString('utf8')) as { alg?: string; value?: string };
    const wanted = version.type === 'oct-HSM' ? 'A256KW' : 'RSA-OAEP-256';
    if (alg !== wanted || version.type === 'EC') {
      return vaultError(400, 'BadParameter', `Key type ${version.type} does not support algorithm ${alg}.`);
    }
    try {
      const result = transform(version.secret, verb, Buffer.from(value ?? '', 'base64url')).toString('base64url');
      return { status: 200, body: { kid: `https://${this.host}/keys/${name}/${version.id}`, value: result } };
    } catch {
      return vaultError(400, 'BadParameter', 'Error occurred while decoding OAEP padding.');
    }
  }
}

function parseRequest({ method = '', url = '', headers }: IncomingMessage): VaultRequest {
  const { pathname, searchParams: query } = new URL(url, 'https://localhost');
  const [, kind = '', name = '', id = '', verb = ''] = pathname.split('/');
  const isJson = headers['content-type']?.startsWith('application/json') ?? false;
  return { method, pathname, kind, name, id, verb, query, isJson };
}

function transform(secret: KeyVersion['secret'], verb: string, bytes: Buffer): Buffer {
  if (Buffer.isBuffer(secret)) {
    // RFC 3394 section 2.2.3.1.
    const iv = Buffer.alloc(8, 0xa6);
    const cipher =
      verb === 'wrapkey'
        ? createCipheriv('id-aes256-wrap', secret, iv)
        : createDecipheriv('id-aes256-wrap', secret, iv);
    return Buffer.concat([cipher.update(bytes), cipher.final()]);
  }
  const padding = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' };
  return verb === 'wrapkey'
    ? publicEncrypt({ key: secret.publicKey, ...padding }, bytes)
    : privateDecrypt({ key: secret.privateKey, ...padding }, bytes);
}

function find<V extends Version>(versions: readonly V[] | undefined, id: string): V | undefined {
  return id === '' ? versions?.at(-1) : versions?.find((version) => version.id === id);
}

function attributesOf({ isEnabled, created, expires }: Version): object {
  return {
    enabled: isEnabled,
    created,
    updated: created,
    ...(expires !== undefined && { exp: expires }),
    recoveryLevel: 'Recoverable',
  };
}

function keyNotFound(name: string, id: string): JsonAnswer {
  return vaultError(404, 'KeyNotFound', `A key with (name/id) ${name}/${id} was not found in this key vault.`);
}

/** "Azure Key Vault REST API error codes": one error in all, with an inner code for what is forbidden. */
export function vaultError(status: number, code: string, message: string): JsonAnswer {
  return { status, body: { error: { code, message } } };
}

function forbidden(inner: string, message: string): JsonAnswer {
  return { status: 403, body: { error: { code: 'Forbidden', message, innererror: { code: inner } } } };
}

function nowInSeconds(): number {
  return Math.floor(Date.now() / 1000);
}

function newId(): string {
  return randomUUID().replaceAll('-', '');
}

function makeCertificate(keyFile: string, certificateFile: string): void {
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  const files = ['-keyout', keyFile, '-out', certificateFile];
  const kind = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  execFileSync('openssl', [...kind, ...files, ...names], { stdio: 'ignore' });
}
