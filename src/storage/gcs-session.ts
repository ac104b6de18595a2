import { BackupError } from '../core/backup-error.ts';
import { parseAnswer, type GcsCalls } from './gcs-calls.ts';
import { gcsErrorStatus, isDamagedOnTheWay } from './gcs-errors.ts';
import type { HttpAnswer } from './gcs-http.ts';
import { toResource, type GcsResource } from './gcs-object.ts';

/** Every chunk but the last is a multiple of it ("Resumable uploads", JSON API). */
export const chunkUnitBytes = 256 * 1024;

/**
 * An upload session, one request after the other. Follows "Perform resumable uploads" of Google's documentation: a
 * chunk says where its bytes belong (`Content-Range`), the answer 308 says how many the server has (`Range`), and after
 * a fault an empty request asks for that number. Nothing is visible before `finish`.
 *
 * Parts cannot go in parallel: within a session the protocol knows only one place to go on. The XML API's multipart
 * uploads can, but take no preconditions, so that create-only could not be kept, and their objects have no MD5.
 */
export class GcsSession {
  readonly #calls: GcsCalls;
  readonly #url: string;
  readonly #name: string;
  /** Bytes that the server has; only a lower bound after a fault. */
  #offset = 0;
  #isUncertain = false;

  /** `url` is the address of the session, `name` the object's for messages. */
  constructor(calls: GcsCalls, url: string, name: string) {
    this.#calls = calls;
    this.#url = url;
    this.#name = name;
  }

  /**
   * Sends the bytes that begin at `start`, and whose number is a multiple of `chunkUnitBytes`, until the server has
   * them all. Attempts are counted in a row of calls that brought nothing.
   */
  async send(bytes: Buffer, start: number, signal: AbortSignal): Promise<void> {
    const end = start + bytes.byteLength;
    const advance = async (): Promise<void> => {
      const before = this.#offset;
      if (this.#isUncertain) this.#note(await this.#ask('*', signal), start, end);
      if (this.#offset > before) return;
      const rest = bytes.subarray(this.#offset - start);
      const range = `${this.#offset}-${end - 1}/*`;
      this.#note(await this.#put({ range, body: [rest], signal }), start, end);
      if (this.#offset === before) throw stalled(this.#name);
    };
    while (this.#offset < end) await this.#run(advance, signal);
  }

  /**
   * Sends the last bytes, from `start` on, and with them the object's size, which makes it visible. Gives what the
   * server then has. The signal only ends the retries: a request that is cut off would have an unknown outcome.
   */
  async finish(tail: Buffer, options: { start: number; md5: string; signal: AbortSignal }): Promise<GcsResource> {
    const { start, md5, signal } = options;
    const size = start + tail.byteLength;
    const hash = { 'x-goog-hash': `md5=${md5}` };
    const advance = async (): Promise<GcsResource | null> => {
      // With the size the question finishes the object, should the server have every byte already.
      let answer = this.#isUncertain ? await this.#ask(String(size), undefined, hash) : undefined;
      if (answer?.status === 308) {
        this.#note(answer, start, size);
        answer = undefined;
      }
      if (answer === undefined) {
        const rest = tail.subarray(this.#offset - start);
        const range = rest.byteLength === 0 ? `*/${size}` : `${this.#offset}-${size - 1}/${size}`;
        answer = await this.#put({ range, body: [rest], headers: hash, signal: undefined });
      }
      if (answer.status !== 308) return toResource(parseAnswer(answer.text));
      const before = this.#offset;
      this.#note(answer, start, size);
      if (this.#offset === before) throw stalled(this.#name);
      return null;
    };
    for (;;) {
      const resource = await this.#run(advance, signal);
      if (resource !== null) return resource;
    }
  }

  /** Ends the session; one that is gone, or has made its object, is no failure. */
  async cancel(): Promise<void> {
    const headers = this.#calls.target.keyHeaders;
    const request = async () => await this.#calls.send({ method: 'DELETE', url: this.#url, headers }, isOver);
    await this.#calls.run(`abort the upload of ${this.#name}`, request);
  }

  async #run<T>(advance: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const policy = this.#calls.target.timings.patientRetry;
    const request = async (): Promise<T> => {
      try {
        const result = await advance();
        this.#isUncertain = false;
        return result;
      } catch (error) {
        this.#isUncertain = true;
        throw this.#toFinal(error);
      }
    };
    return await this.#calls.run(`store ${this.#name}`, request, { signal, policy });
  }

  /** What no repetition can cure here, although it could for a single request: earlier parts are gone. */
  #toFinal(error: unknown): unknown {
    if (isDamagedOnTheWay(error)) {
      return new BackupError('integrity', `cannot store ${this.#name}: it arrived damaged at the server`, {
        hint: 'Run the backup again.',
      });
    }
    const status = gcsErrorStatus(error);
    if (status !== 404 && status !== 410) return error;
    return new ForgottenSession(this.#name);
  }

  async #ask(size: string, signal?: AbortSignal, headers: Readonly<Record<string, string>> = {}): Promise<HttpAnswer> {
    return await this.#put({ range: `*/${size}`, body: [], headers, signal });
  }

  async #put(request: {
    readonly range: string;
    readonly body: readonly Uint8Array[];
    readonly headers?: Readonly<Record<string, string>>;
    readonly signal: AbortSignal | undefined;
  }): Promise<HttpAnswer> {
    const { range, body, signal } = request;
    const headers = { ...this.#calls.target.keyHeaders, ...request.headers, 'content-range': `bytes ${range}` };
    return await this.#calls.send({ method: 'PUT', url: this.#url, headers, body, signal }, isSessionAnswer);
  }

  /** Takes over how many bytes the server has. It must not have fewer than it had, nor more than it was sent. */
  #note(answer: HttpAnswer, start: number, end: number): void {
    if (answer.status !== 308) throw new PrematureObject(toResource(parseAnswer(answer.text)), this.#name);
    const [, last] = /^bytes=0-(\d+)$/.exec(answer.headers.range ?? '') ?? [];
    const offset = last === undefined ? 0 : Number(last) + 1;
    if (offset < start || offset > end) {
      throw new BackupError(
        'storage',
        `cannot store ${this.#name}: the server has lost bytes that it had acknowledged`,
        {
          hint: 'Run the backup again.',
        },
      );
    }
    this.#offset = offset;
  }
}

/** The server has made the object before it had all of it: somebody has to remove it. */
export class PrematureObject extends BackupError {
  readonly resource: GcsResource;

  constructor(resource: GcsResource, name: string) {
    super('storage', `cannot store ${name}: the server ended the upload before its last byte`, {
      hint: 'Check that the server keeps to the protocol of resumable uploads.',
    });
    this.resource = resource;
  }
}

/** The server does not know the session any more: it has expired, or has made its object and gone. */
export class ForgottenSession extends BackupError {
  constructor(name: string) {
    super('storage', `cannot store ${name}: the server has forgotten the unfinished upload`, {
      hint: 'Run the backup again.',
    });
  }
}

/** 499 is the documented answer to a cancelled session. */
function isOver(status: number): boolean {
  return status === 499 || status < 300 || status === 404 || status === 410;
}

function isSessionAnswer(status: number): boolean {
  return status === 308 || status === 200 || status === 201;
}

/** As transient as a cut connection: asking again may bring the server on. */
function stalled(name: string): BackupError {
  return new BackupError('storage', `cannot store ${name}: the server takes no more bytes`, {
    cause: Object.assign(new Error('the server took none of the bytes'), { code: 'ECONNABORTED' }),
  });
}
