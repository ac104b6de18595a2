import type { Agent as HttpAgent } from 'node:http';
import type { Agent as HttpsAgent } from 'node:https';
import { parseRetryAfterMs } from '../core/network-faults.ts';
import { sendJson, type TextAnswer } from './send-json.ts';

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

/** Sends one request, once, and reads the answer, whatever its status. Fails as `sendJson`. */
export async function sendVault(
  { address, agent, timeoutMs }: VaultConnection,
  request: VaultRequest & { readonly headers: Readonly<Record<string, string>> },
  signal: AbortSignal | undefined,
): Promise<VaultAnswer> {
  const { method, headers, body } = request;
  const url = toUrl(address, request);
  return toVaultAnswer(await sendJson({ method, url, headers, body, agent, timeoutMs, maxTextBytes, signal }));
}

function toUrl(address: string, { path, query = {} }: VaultRequest): string {
  const encoded = path.split('/').map(encodeURIComponent).join('/');
  const search = new URLSearchParams(query).toString();
  return `${address}/v1/${encoded}${search === '' ? '' : `?${search}`}`;
}

function toVaultAnswer({ status, headers, text }: TextAnswer): VaultAnswer {
  const body = parseBody(text);
  return {
    status,
    retryAfterMs: parseRetryAfterMs(headers['retry-after']),
    isVault: body !== undefined,
    data: toRecord(body?.['data']),
    auth: toRecord(body?.['auth']),
    errors: toErrors(body?.['errors']),
  };
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
