import { request as requestHttp, type Agent, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';

export interface JsonRequest {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Readonly<Record<string, unknown>> | undefined;
  readonly agent: Agent;
  /** For the whole answer. */
  readonly timeoutMs: number;
  /** Longer answers fail. */
  readonly maxTextBytes: number;
  readonly signal?: AbortSignal | undefined;
}

export interface TextAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/**
 * Sends one request, once, and reads the answer, whatever its status. Redirects are not followed. Fails with Node's
 * error, with `ETIMEDOUT` when the answer is not whole in time, or with the signal's reason.
 */
export async function sendJson(request: JsonRequest): Promise<TextAnswer> {
  const { signal, timeoutMs, maxTextBytes } = request;
  signal?.throwIfAborted();
  const deadline = AbortSignal.timeout(timeoutMs);
  try {
    const message = await send(request, signal === undefined ? deadline : AbortSignal.any([signal, deadline]));
    return { status: message.statusCode ?? 0, headers: message.headers, text: await readText(message, maxTextBytes) };
  } catch (error) {
    signal?.throwIfAborted();
    if (deadline.aborted) throw Object.assign(new Error('no answer in time'), { code: 'ETIMEDOUT' });
    throw error;
  }
}

async function send({ method, url, headers, body, agent }: JsonRequest, signal: AbortSignal): Promise<IncomingMessage> {
  const text = body === undefined ? '' : JSON.stringify(body);
  const content = { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(text)) };
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const open = url.startsWith('https:') ? requestHttps : requestHttp;
  const outgoing = open(url, { method, headers: { ...headers, ...(text !== '' && content) }, agent, signal });
  outgoing.on('response', resolve);
  outgoing.on('error', reject);
  outgoing.end(text);
  return await promise;
}

async function readText(message: IncomingMessage, maxTextBytes: number): Promise<string> {
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
