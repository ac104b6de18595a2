import { createHash, createHmac } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** One request to the double, whole. */
export interface AzureRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface AzureAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
}

/** An error of the service: status and code as "Blob service error codes" and "Common REST API error codes" have them. */
export class AzureFailure extends Error {
  readonly status: number;
  readonly code: string;
  readonly detail: string;

  constructor(status: number, code: string, detail = '') {
    super(code);
    this.status = status;
    this.code = code;
    this.detail = detail;
  }

  toAnswer(): AzureAnswer {
    const detail = this.detail && `<AuthenticationErrorDetail>${this.detail}</AuthenticationErrorDetail>`;
    const message = `${this.code}.\nRequestId:00000000-0000-0000-0000-000000000000\nTime:${new Date().toISOString()}`;
    const body = `<?xml version="1.0" encoding="utf-8"?><Error><Code>${this.code}</Code><Message>${message}</Message>${detail}</Error>`;
    return { status: this.status, headers: { 'content-type': 'application/xml', 'x-ms-error-code': this.code }, body };
  }
}

export function headerOf({ headers }: AzureRequest, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value.join(',') : value;
}

export interface Authority {
  readonly account: string;
  readonly accountKey: string;
  /** The access token of the identity that is let in. */
  readonly token: string;
  /** The server's clock. */
  readonly nowMs: number;
}

/** Fails as the service does unless the request is signed ("Authorize with Shared Key"), timely, and names its version. */
export function checkAuthorized(request: AzureRequest, { account, accountKey, token, nowMs }: Authority): void {
  if (!/^\d{4}-\d\d-\d\d$/.test(headerOf(request, 'x-ms-version') ?? '')) {
    throw new AzureFailure(400, 'InvalidHeaderValue');
  }
  const authorization = headerOf(request, 'authorization');
  if (authorization === undefined) throw new AzureFailure(401, 'NoAuthenticationInformation');
  if (authorization === `Bearer ${token}`) return;
  const date = Date.parse(headerOf(request, 'x-ms-date') ?? '');
  if (!(Math.abs(date - nowMs) < 15 * 60_000)) {
    throw new AzureFailure(
      403,
      'AuthenticationFailed',
      `Request date header too old: '${headerOf(request, 'x-ms-date')}'`,
    );
  }
  const signature = createHmac('sha256', Buffer.from(accountKey, 'base64'))
    .update(stringToSign(request, account))
    .digest('base64');
  if (authorization !== `SharedKey ${account}:${signature}`) {
    throw new AzureFailure(403, 'AuthenticationFailed', 'The MAC signature found in the HTTP request is not the same');
  }
}

const signedHeaders = [
  'content-encoding',
  'content-language',
  'content-length',
  'content-md5',
  'content-type',
  'date',
  'if-modified-since',
  'if-match',
  'if-none-match',
  'if-unmodified-since',
  'range',
];

function stringToSign(request: AzureRequest, account: string): string {
  const standard = signedHeaders.map((name) => {
    const value = headerOf(request, name) ?? '';
    return name === 'content-length' && value === '0' ? '' : value;
  });
  const own = Object.keys(request.headers)
    .filter((name) => name.startsWith('x-ms-'))
    .toSorted()
    .map((name) => `${name}:${headerOf(request, name)}`);
  const query = [...request.url.searchParams].map(([name, value]) => `${name.toLowerCase()}:${value}`).toSorted();
  return [request.method, ...standard, ...own, [`/${account}${request.url.pathname}`, ...query].join('\n')].join('\n');
}

/** The customer's key that a request carries, by its SHA-256; fails as the service does when its headers are not sound. */
export function checkedKeyDigest(request: AzureRequest): string | undefined {
  const key = headerOf(request, 'x-ms-encryption-key');
  const digest = headerOf(request, 'x-ms-encryption-key-sha256');
  const algorithm = headerOf(request, 'x-ms-encryption-algorithm');
  if (key === undefined && digest === undefined && algorithm === undefined) return undefined;
  if (key === undefined || digest === undefined || algorithm === undefined) {
    throw new AzureFailure(400, 'MissingRequiredHeader');
  }
  const bytes = Buffer.from(key, 'base64');
  const isSound = bytes.byteLength === 32 && createHash('sha256').update(bytes).digest('base64') === digest;
  if (!isSound || algorithm !== 'AES256') throw new AzureFailure(400, 'InvalidHeaderValue');
  if (headerOf(request, 'x-ms-encryption-scope') !== undefined) throw new AzureFailure(400, 'InvalidHeaderValue');
  return digest;
}

/** Fails as the service does when the body is not what its `Content-MD5` says. */
export function checkBody(request: AzureRequest): void {
  if (Number(headerOf(request, 'content-length')) !== request.body.byteLength) {
    throw new AzureFailure(411, 'MissingContentLengthHeader');
  }
  const wanted = headerOf(request, 'content-md5');
  if (wanted === undefined) return;
  if (createHash('md5').update(request.body).digest('base64') !== wanted) throw new AzureFailure(400, 'Md5Mismatch');
}
