import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { request as requestHttp, type Agent } from 'node:http';
import { request as requestHttps } from 'node:https';

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent one after the other; they stay the caller's, who may send them again. */
  readonly body?: readonly Uint8Array[];
  readonly signal?: AbortSignal | undefined;
}

/** An answer whose body has been read. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

// No answer of the JSON API that is read whole comes near it: 1,000 listed objects are half a megabyte.
const maxTextBytes = 16 * 1024 * 1024;

/**
 * Sends one request, once, and gives the answer as soon as its head is there, whatever its status. Redirects are not
 * followed: 308 means something else to a resumable upload. Fails with Node's error, or the signal's reason. It is
 * the agent that ends a connection which is silent for too long (`createHttpAgent`).
 */
export async function sendHttp(agent: Agent, request: HttpRequest): Promise<IncomingMessage> {
  const { method, url, body = [], signal } = request;
  signal?.throwIfAborted();
  const sizeBytes = body.reduce((sum, bytes) => sum + bytes.byteLength, 0);
  const length = method === 'GET' ? {} : { 'content-length': String(sizeBytes) };
  const headers: OutgoingHttpHeaders = { ...request.headers, ...length };
  const send = url.startsWith('https:') ? requestHttps : requestHttp;
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const outgoing = send(url, { method, headers, agent, ...(signal !== undefined && { signal }) });
  outgoing.on('response', resolve);
  outgoing.on('error', (error) => reject(signal?.aborted === true ? signal.reason : error));
  for (const bytes of body) outgoing.write(bytes);
  outgoing.end();
  return await promise;
}

/** The rest of an answer that is small by its nature. Reading it to its end lets the connection be used again. */
export async function readAnswer(message: IncomingMessage): Promise<HttpAnswer> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > maxTextBytes) throw new Error(`the answer is larger than ${maxTextBytes} bytes`);
    chunks.push(chunk);
  }
  return { status: message.statusCode ?? 0, headers: message.headers, text: Buffer.concat(chunks).toString('utf8') };
}
