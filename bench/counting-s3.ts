import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { crc32 } from 'node:zlib';

const minPartBytes = 5 * 1024 * 1024;
const maxPartBytes = 5 * 1024 ** 3;
const maxParts = 10_000;

/** What one multipart upload came to. */
export interface CountedUpload {
  readonly objectBytes: number;
  readonly parts: number;
  readonly largestPartBytes: number;
}

interface ReceivedPart {
  readonly bytes: number;
  readonly etag: string;
}

/**
 * A double of S3 for one multipart upload of any size: it forgets the bytes, and refuses what Amazon S3 refuses ("Amazon S3
 * multipart upload limits" and the errors of UploadPart and CompleteMultipartUpload in the API reference): wrong numbers,
 * sizes, checksums, ETags and order of parts.
 */
export class CountingS3 implements AsyncDisposable {
  readonly #server: Server;
  readonly #parts = new Map<number, ReceivedPart>();
  #metadata: Record<string, string> = {};
  #counted: CountedUpload | undefined;

  private constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response));
    // A part of a slow machine may be under way for minutes.
    this.#server.requestTimeout = 0;
  }

  static async start(): Promise<CountingS3> {
    const double = new CountingS3();
    double.#server.listen(0, '127.0.0.1');
    await once(double.#server, 'listening');
    return double;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The upload that was completed. */
  get counted(): CountedUpload {
    if (this.#counted === undefined) throw new Error('no upload was completed');
    return this.#counted;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      if (request.headers.authorization?.startsWith('AWS4-HMAC-SHA256 ') !== true)
        throw new Refusal(403, 'AccessDenied');
      await this.#route(request, response);
    } catch (error) {
      if (!(error instanceof Refusal)) return void response.destroy();
      console.error(`the double refuses ${request.method} ${request.url}: ${error.code}`);
      const body = request.method === 'HEAD' ? '' : `<Error><Code>${error.code}</Code></Error>`;
      response.writeHead(error.status).end(body);
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://127.0.0.1');
    const call = [request.method, ...['uploads', 'partNumber', 'uploadId'].filter((name) => searchParams.has(name))];
    switch (call.join(' ')) {
      case 'POST uploads':
        return this.#begin(request, response);
      case 'PUT partNumber uploadId':
        return await this.#takePart(request, response, searchParams);
      case 'POST uploadId':
        return await this.#complete(request, response);
      case 'HEAD':
        return pathname.split('/').length > 2 ? this.#describe(response) : void response.writeHead(200).end();
      default:
        throw new Refusal(501, 'NotImplemented');
    }
  }

  #begin(request: IncomingMessage, response: ServerResponse): void {
    const isMetadata = ([name]: [string, unknown]): boolean => name.startsWith('x-amz-meta-');
    this.#metadata = Object.fromEntries(Object.entries(request.headers).filter(isMetadata)) as Record<string, string>;
    request.resume();
    response.end('<InitiateMultipartUploadResult><UploadId>the-one</UploadId></InitiateMultipartUploadResult>');
  }

  async #takePart(request: IncomingMessage, response: ServerResponse, query: URLSearchParams): Promise<void> {
    const number = Number(query.get('partNumber'));
    let bytes = 0;
    let checksum = 0;
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.byteLength;
      checksum = crc32(chunk, checksum);
    }
    if (query.get('uploadId') !== 'the-one') throw new Refusal(404, 'NoSuchUpload');
    if (!Number.isInteger(number) || number < 1 || number > maxParts) throw new Refusal(400, 'InvalidArgument');
    if (bytes > maxPartBytes) throw new Refusal(400, 'EntityTooLarge');
    if (Number(request.headers['content-length']) !== bytes) throw new Refusal(400, 'IncompleteBody');
    if (request.headers['x-amz-checksum-crc32'] !== toBase64(checksum)) throw new Refusal(400, 'BadDigest');
    const etag = `"${number}-${bytes}-${checksum.toString(16)}"`;
    this.#parts.set(number, { bytes, etag });
    response.writeHead(200, { ETag: etag, 'x-amz-checksum-crc32': toBase64(checksum) }).end();
  }

  async #complete(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = '';
    for await (const chunk of request as AsyncIterable<Buffer>) text += chunk.toString();
    const named = [...text.matchAll(/<Part>.*?<\/Part>/gs)].map(([part]) => ({
      number: Number(/<PartNumber>(\d+)</.exec(part)?.[1]),
      etag: /<ETag>(.*?)</.exec(part)?.[1]?.replaceAll('&quot;', '"'),
    }));
    if (named.length !== this.#parts.size) throw new Refusal(400, 'InvalidPart');
    for (const [index, { number, etag }] of named.entries()) {
      const part = this.#parts.get(number);
      if (number !== index + 1) throw new Refusal(400, 'InvalidPartOrder');
      if (part?.etag !== etag) throw new Refusal(400, 'InvalidPart');
      if (part !== undefined && part.bytes < minPartBytes && number < named.length)
        throw new Refusal(400, 'EntityTooSmall');
    }
    const sizes = [...this.#parts.values()].map(({ bytes }) => bytes);
    this.#counted = {
      objectBytes: sizes.reduce((sum, bytes) => sum + bytes, 0),
      parts: sizes.length,
      largestPartBytes: Math.max(...sizes),
    };
    response.end('<CompleteMultipartUploadResult><ETag>"whole"</ETag></CompleteMultipartUploadResult>');
  }

  /** The object; there is none before its upload is complete. */
  #describe(response: ServerResponse): void {
    if (this.#counted === undefined) throw new Refusal(404, 'NoSuchKey');
    const headers = {
      ETag: '"whole"',
      'Content-Length': this.#counted.objectBytes,
      'Last-Modified': new Date().toUTCString(),
    };
    response.writeHead(200, { ...headers, ...this.#metadata }).end();
  }
}

class Refusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string) {
    super(code);
    this.status = status;
    this.code = code;
  }
}

function toBase64(checksum: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(checksum);
  return bytes.toString('base64');
}
