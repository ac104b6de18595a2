import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface CannedAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

/** An HTTP server that keeps every request it sees and answers as it is told. */
export class CannedHttp implements AsyncDisposable {
  readonly requests: SeenRequest[] = [];
  readonly #server: Server;

  private constructor(answer: (request: SeenRequest) => CannedAnswer) {
    this.#server = createServer((incoming, response) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('end', () => {
        const { method = '', url = '', headers } = incoming;
        const request = { method, path: url, headers, body: Buffer.concat(chunks) };
        this.requests.push(request);
        const { status, headers: answerHeaders = {}, body = '' } = answer(request);
        response.writeHead(status, answerHeaders).end(method === 'HEAD' ? undefined : body);
      });
    });
  }

  static async start(answer: (request: SeenRequest) => CannedAnswer): Promise<CannedHttp> {
    const canned = new CannedHttp(answer);
    canned.#server.listen(0, '127.0.0.1');
    await once(canned.#server, 'listening');
    return canned;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
