import type { IncomingMessage } from 'node:http';
import { BackupError } from '../core/backup-error.ts';
import type { GcsClient } from './gcs-client.ts';
import {
  ForeignAnswer,
  GcsFailure,
  gcsErrorStatus,
  gcsRetryAfterMs,
  isTransientGcsError,
  toGcsError,
} from './gcs-errors.ts';
import { readAnswer, sendHttp, type HttpAnswer, type HttpRequest } from './gcs-http.ts';
import { toResource, type GcsResource } from './gcs-object.ts';
import { StoreCalls, type CallOptions, type ErrorReading, type StoreTarget } from './store-calls.ts';

export interface GcsTarget extends StoreTarget {
  readonly client: GcsClient;
  readonly bucket: string;
  /** Headers of the customer-supplied key, for every request that touches bytes or checksums. */
  readonly keyHeaders: Readonly<Record<string, string>>;
}

export type Query = Readonly<Record<string, string | undefined>>;

const errors: ErrorReading = {
  isTransient: isTransientGcsError,
  retryAfterMs: gcsRetryAfterMs,
  translate: toGcsError,
};

/** Its requests are signed, too. */
export class GcsCalls extends StoreCalls<GcsTarget> {
  #isBucketSeen = false;

  constructor(target: GcsTarget) {
    super(target, errors);
  }

  /** The address of an object, or of the bucket's objects when no key is given. */
  objectUrl(key: string | undefined, query: Query = {}): string {
    const name = key === undefined ? '' : `/${encodeURIComponent(this.fullKey(key))}`;
    return this.#url(`/storage/v1/b/${encodeURIComponent(this.target.bucket)}/o${name}`, query);
  }

  uploadUrl(query: Query): string {
    return this.#url(`/upload/storage/v1/b/${encodeURIComponent(this.target.bucket)}/o`, query);
  }

  #url(path: string, query: Query): string {
    const parameters = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) if (value !== undefined) parameters.set(name, value);
    const text = parameters.toString();
    return `${this.target.client.endpoint}${path}${text === '' ? '' : `?${text}`}`;
  }

  /** One signed request, not repeated, whose body is still to be read. Fails with `GcsFailure` unless `isWanted`. */
  async open(request: HttpRequest, isWanted = isSuccess): Promise<IncomingMessage> {
    const { client } = this.target;
    const authorization = await client.authorize(request.signal);
    const message = await sendHttp(client.agent, { ...request, headers: { ...request.headers, ...authorization } });
    if (isWanted(message.statusCode ?? 0)) return message;
    throw new GcsFailure(await readAnswer(message));
  }

  /** The same, with the body read. */
  async send(request: HttpRequest, isWanted = isSuccess): Promise<HttpAnswer> {
    return await readAnswer(await this.open(request, isWanted));
  }

  /** The object's metadata, or `null` when there is none. A bucket that does not exist is `notFound`. */
  async head(key: string, signal?: AbortSignal): Promise<GcsResource | null> {
    // Without the customer-supplied key: only the checksums need it, and the object may have another one.
    const request = async (): Promise<GcsResource | null> => {
      try {
        const { text } = await this.send({ method: 'GET', url: this.objectUrl(key), signal });
        return toResource(parseAnswer(text));
      } catch (error) {
        if (gcsErrorStatus(error) === 404) return null;
        throw error;
      }
    };
    const found = await this.run(`look at ${this.describe(key)}`, request, { signal });
    if (found === null) await this.assertBucket(signal);
    this.#isBucketSeen = true;
    return found;
  }

  /** Removes an object, or exactly this generation of it. One that is not there is no failure. */
  async remove(key: string, options: CallOptions & { readonly generation?: string } = {}): Promise<void> {
    const { generation, signal } = options;
    const url = this.objectUrl(key, { generation });
    const request = async (): Promise<boolean> => {
      try {
        await this.send({ method: 'DELETE', url, signal });
        return true;
      } catch (error) {
        if (gcsErrorStatus(error) === 404) return false;
        throw error;
      }
    };
    if (!(await this.run(`delete ${this.describe(key)}`, request, options))) await this.assertBucket(signal);
    this.#isBucketSeen = true;
  }

  /**
   * Fails with `notFound` when there is no bucket: to a request for an object it is a 404 like any other. Asks for one
   * object of the list, which whoever may use the store may do; looking at the bucket is a right of its own.
   */
  async assertBucket(signal: AbortSignal | undefined): Promise<void> {
    if (this.#isBucketSeen) return;
    const url = this.objectUrl(undefined, { maxResults: '1', fields: 'kind' });
    const request = async (): Promise<boolean> => {
      try {
        await this.send({ method: 'GET', url, signal });
      } catch (error) {
        if (gcsErrorStatus(error) === 404) return false;
        // Credentials for objects alone may not list; then nothing more can be known.
        if (gcsErrorStatus(error) !== 403) throw error;
      }
      return true;
    };
    if (await this.run(`look at "${this.target.url}"`, request, { signal })) return;
    throw this.noBucket(`look at "${this.target.url}"`);
  }

  noBucket(action: string): BackupError {
    return new BackupError('notFound', `cannot ${action}: the bucket does not exist`, {
      hint: 'Create the bucket, or correct the address or endpoint.',
    });
  }
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

/** The JSON of a successful answer. Fails with `ForeignAnswer` for anything else. */
export function parseAnswer(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ForeignAnswer('not JSON', { cause: error });
  }
}
