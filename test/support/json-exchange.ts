import type { IncomingMessage, ServerResponse } from 'node:http';

/** What a double of a JSON service answers; a string is sent as it is. */
export interface JsonAnswer {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export async function readBody(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Answers; or cuts the connection without an answer, or hangs after the first byte of one. */
export function sendAnswer(response: ServerResponse, answer: JsonAnswer | 'hang' | 'cut'): void {
  if (answer === 'cut') {
    response.destroy();
    return;
  }
  if (answer === 'hang') {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' });
    response.write('{');
    return;
  }
  const { status, body, headers } = answer;
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', ...headers }).end(text);
}
