import type { Connection as PgConnection, Submittable } from 'pg';

/** `d` and `c`: CopyData and CopyDone (manual, "Message Formats"). */
const copyDataTag = 0x64;
const copyDone = Buffer.of(0x63, 0, 0, 0, 4);
const headerBytes = 5;
/** The server takes a message into memory as a whole. */
const messageBytes = 64 * 1024;
const fullHeader = header(messageBytes);

function header(bodyBytes: number): Buffer {
  const bytes = Buffer.alloc(headerBytes);
  bytes.writeUInt8(copyDataTag);
  // The length counts itself.
  bytes.writeUInt32BE(bodyBytes + 4, 1);
  return bytes;
}

/** What pg calls of a query that it is given, as far as COPY needs it; its types do not know them. */
interface CopyQuery extends Submittable {
  handleCopyInResponse(): void;
  handleCommandComplete(message: { readonly text: string }): void;
  handleReadyForQuery(): void;
  handleError(error: Error): void;
}

/**
 * One COPY FROM STDIN of a session of pg. pg-copy-streams does the same, but gives a chunk back to its producer while the
 * socket may still have to send a part of it. Throws what the server or the socket says, as pg does.
 */
export class CopyIn implements CopyQuery {
  readonly #sql: string;
  readonly #ready = Promise.withResolvers<void>();
  readonly #complete = Promise.withResolvers<number>();
  #connection: PgConnection | undefined;
  /** The chunk on its way. */
  #written: PromiseWithResolvers<void> | undefined;
  #failure: Error | undefined;
  #rows = 0;

  constructor(sql: string) {
    this.#sql = sql;
    // Whoever waits for it sees the error as well.
    for (const { promise } of [this.#ready, this.#complete]) promise.catch(() => {});
  }

  /** Settles when the server wants rows. */
  async begin(): Promise<void> {
    await this.#ready.promise;
  }

  /** Settles when the socket has taken the whole chunk, or fails when the server does not want it any more. */
  async write(chunk: Uint8Array): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    if (chunk.byteLength === 0) return;
    const written = Promise.withResolvers<void>();
    this.#written = written;
    const stream = this.#stream();
    stream.cork();
    for (let start = 0; start < chunk.byteLength; start += messageBytes) {
      const body = chunk.subarray(start, start + messageBytes);
      stream.write(body.byteLength === messageBytes ? fullHeader : header(body.byteLength));
      const isLast = start + messageBytes >= chunk.byteLength;
      stream.write(body, isLast ? (error) => (error ? written.reject(error) : written.resolve()) : undefined);
    }
    stream.uncork();
    await written.promise;
  }

  /** Ends the rows, and settles when the server has them all: with the number that it has taken. */
  async end(): Promise<number> {
    this.#stream().write(copyDone);
    return await this.#complete.promise;
  }

  #stream(): PgConnection['stream'] {
    if (this.#connection === undefined) throw new TypeError('a COPY that has not begun takes no rows');
    return this.#connection.stream;
  }

  submit(connection: PgConnection): void {
    this.#connection = connection;
    connection.query(this.#sql);
  }

  handleCopyInResponse(): void {
    this.#ready.resolve();
  }

  /** `COPY` and the number of rows (manual, "Message Formats"). */
  handleCommandComplete({ text }: { readonly text: string }): void {
    this.#rows = Number(text.split(' ')[1]);
  }

  handleReadyForQuery(): void {
    this.#complete.resolve(this.#rows);
  }

  handleError(error: Error): void {
    this.#failure = error;
    this.#written?.reject(error);
    this.#ready.reject(error);
    this.#complete.reject(error);
  }
}
