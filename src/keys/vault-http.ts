import { type Agent as HttpAgent, request as requestHttp, type IncomingMessage } from 'node:http';
import { type Agent as HttpsAgent, request as requestHttps } from 'node:https';
import { parseRetryAfterMs } from '../core/network-faults.ts';

export interface VaultRequest {
  readonly method: 'GET' | 'POST';
  /** After `/v1/`. Its segments are encoded here. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: Readonly<Record<string, unknown>>;
}

export interface VaultConnection {
  readonly address: string;
  readonly agent: HttpAgent | HttpsAgent;
  readonly timeoutMs: number;
}

/** An answer that was read whole: `{ data, auth, errors }`, where each may be missing (Vault's HTTP API, "Overview"). */
export interface VaultAnswer {
  readonly status: number;
  readonly retryAfterMs: number | undefined;
  /** Whether the body is a JSON object, or missing: anything else does not come from Vault. */
  readonly isVault: boolean;
  readonly data: Readonly<Record<string, unknown>>;
  readonly auth: Readonly<Record<string, unknown>>;
  readonly errors: readonly string[];
}

// A secret has 1 MiB at most.
const maxTextBytes = 8 * 1024 * 1024;

/**
 * Sends one request, once, and reads the answer, whatever its status. Redirects are not followed. Fails with Node's
 * error, with `ETIMEDOUT` when the answer is not whole in time, or with the signal's reason.
 */
export async function sendVault(
  { address, agent, timeoutMs }: VaultConnection,
  request: VaultRequest & { readonly headers: Readonly<Record<string, string>> },
  signal: AbortSignal | undefined,
): Promise<VaultAnswer> {
  signal?.throwIfAborted();
  const deadline = AbortSignal.timeout(timeoutMs);
  const end = signal === undefined ? deadline : AbortSignal.any([signal, deadline]);
  const { method, headers } = request;
  const text = request.body === undefined ? '' : JSON.stringify(request.body);
  const content = { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(text)) };
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const open = address.startsWith('https:') ? requestHttps : requestHttp;
  try {
    const options = { method, headers: { ...headers, ...(text !== '' && content) }, agent, signal: end };
    const outgoing = open(toUrl(address, request), options);
    outgoing.on('response', resolve);
    outgoing.on('error', reject);
    outgoing.end(text);
    return await readAnswer(await promise);
  } catch (error) {
    signal?.throwIfAborted();
    if (deadline.aborted) throw Object.assign(new Error('no answer in time'), { code: 'ETIMEDOUT' });
    throw error;
  }
}

function toUrl(address: string, { path, query = {} }: VaultRequest): string {
  const encoded = path.split('/').map(encodeURIComponent).join('/');
  const search = new URLSearchParams(query).toString();
  return `${address}/v1/${encoded}${search === '' ? '' : `?${search}`}`;
}

async function readAnswer(message: IncomingMessage): Promise<VaultAnswer> {
  const body = parseBody(await readText(message));
  return {
    status: message.statusCode ?? 0,
    retryAfterMs: parseRetryAfterMs(message.headers['retry-after']),
    isVault: body !== undefined,
    data: toRecord(body?.['data']),
    auth: toRecord(body?.['auth']),
    errors: toErrors(body?.['errors']),
  };
}

async function readText(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > maxTextBytes) throw new Error(`the answer is larger than ${maxTextBytes} bytes`);
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString('utf8');
  for (const chunk of chunks) chunk.fill(0);
  return text;
}

/** The parser's own error quotes the text, which may be the secret. */
function parseBody(text: string): Readonly<Record<string, unknown>> | undefined {
  if (text === '') return {};
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

export function toRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

/** Some are lists in themselves: "1 error occurred:\n\t* permission denied\n\n". */
function toErrors(value: unknown): string[] {
  if (!Array.isArray(value)) return [];
  return value
    .filter((entry) => typeof entry === 'string')
    .flatMap((text) => text.split('\n'))
    .map((line) => line.replace(/^\s*\*\s*/, '').trim())
    .filter((line) => line !== '' && !/^\d+ errors? occurred:$/.test(line));
}
