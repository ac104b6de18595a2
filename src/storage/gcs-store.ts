import type { IncomingMessage } from 'node:http';
import { BackupError } from '../core/backup-error.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import { describeActiveLock } from '../core/object-lock.ts';
import type { ByteRange } from './byte-range.ts';
import { GcsCalls, parseAnswer } from './gcs-calls.ts';
import { createGcsClient } from './gcs-client.ts';
import { checkGcsSettings } from './gcs-demands.ts';
import { ForeignAnswer, gcsErrorStatus, toGcsError } from './gcs-errors.ts';
import { describeResource, lockOf, summarizeResource, toResource } from './gcs-object.ts';
import { GcsPut, type GcsDemands } from './gcs-put.ts';
import { uploadInParts } from './multipart.ts';
import { assertKeyPrefix, assertObjectKey, isObjectKey } from './object-key.ts';
import type { GetOptions, ObjectStore, PutOptions, StoredObject, UnfinishedUpload } from './object-store.ts';
import { shareMemory, smallestPartBytes, type PartLimits } from './part-size.ts';
import type { RangeAnswer } from './ranged-read.ts';
import { defaultTimings, type OpenContext } from './store-settings.ts';
import type { StoreUrl } from './store-url.ts';

const mebibyte = 1024 * 1024;
// Parts go one after the other (see GcsSession): a large one makes the round trip between them small. While one is on
// its way the next one fills.
const largestPartBytes = 32 * mebibyte;
const maxPartsInFlight = 2;
const maxDeletesInFlight = 16;
const listFields = 'kind,nextPageToken,items(name,generation,size,timeCreated,updated)';

/**
 * Objects in a bucket of Google Cloud Storage, by its JSON API. Bodies go out in one request when they end within the
 * first part, otherwise as a resumable upload. Memory: `uploadMemoryBytes` at most for each `put` (half of it, and no
 * more than 64 MiB, is used; see `uploadInParts`), 16 MiB for each `get`.
 */
export async function openGcsStore(
  url: Extract<StoreUrl, { scheme: 'gs' }>,
  { text, settings, deps }: OpenContext,
): Promise<ObjectStore> {
  const timings = { ...defaultTimings, ...deps.timings };
  const { demands, keyHeaders, memoryBytes } = checkGcsSettings(settings);
  const client = await createGcsClient({ settings: settings.gcs ?? {}, timings, deps });
  if (client.isInTheClear && Object.keys(keyHeaders).length > 0) {
    client[Symbol.dispose]();
    throw new BackupError('config', 'a customer-supplied key is not sent in the clear', {
      hint: 'Give an endpoint that begins with https://.',
    });
  }
  const { bucket, prefix } = url;
  return new GcsStore(new GcsCalls({ client, bucket, prefix, url: text, timings, keyHeaders }), demands, memoryBytes);
}

class GcsStore implements ObjectStore {
  readonly hasStableVersions = true;
  readonly #calls: GcsCalls;
  readonly #demands: GcsDemands;
  readonly #memoryBytes: number;

  constructor(calls: GcsCalls, demands: GcsDemands, memoryBytes: number) {
    this.#calls = calls;
    this.#demands = demands;
    this.#memoryBytes = memoryBytes;
  }

  get url(): string {
    return this.#calls.target.url;
  }

  async put(key: string, body: ByteStream, options: PutOptions = {}): Promise<StoredObject> {
    this.#assertKey(key);
    options.signal?.throwIfAborted();
    const isCreateOnly = options.createOnly ?? false;
    const put = new GcsPut(this.#calls, key, { demands: this.#demands, isCreateOnly });
    await put.assertAbsent(options.signal);
    const memoryBytes = shareMemory(this.#memoryBytes, options.sharedBy);
    return await uploadInParts(body, put, {
      ...planParts(memoryBytes),
      memoryBytes,
      maxPartsInFlight,
      signal: options.signal,
    });
  }

  async *get(key: string, options: GetOptions = {}): ByteStream {
    this.#assertKey(key);
    const open = async (range: ByteRange, pin: string | undefined, signal: AbortSignal): Promise<RangeAnswer | null> =>
      await this.#openRange({ key, range, generation: options.version ?? pin, signal });
    yield* this.#calls.read(key, { open }, options);
  }

  async head(key: string, options: { readonly signal?: AbortSignal } = {}): Promise<StoredObject | null> {
    this.#assertKey(key);
    const found = await this.#calls.head(key, options.signal);
    return found === null ? null : describeResource(key, found);
  }

  async *list(prefix: string, options: { readonly signal?: AbortSignal } = {}): AsyncGenerator<StoredObject> {
    assertKeyPrefix(prefix);
    const { signal } = options;
    const query = { prefix: this.#calls.fullKey(prefix), fields: listFields };
    let pageToken: string | undefined;
    do {
      const url = this.#calls.objectUrl(undefined, { ...query, pageToken });
      const request = async (): Promise<ListPage> =>
        toListPage(parseAnswer((await this.#calls.send({ method: 'GET', url, signal })).text));
      const page = await this.#calls.run(`list "${this.url}"`, request, options).catch((error: unknown) => {
        throw gcsErrorStatus(error) === 404 ? this.#calls.noBucket(`list "${this.url}"`) : error;
      });
      yield* this.#objectsOf(page);
      pageToken = page.nextPageToken;
    } while (pageToken !== undefined && pageToken !== '');
  }

  async delete(keys: readonly string[], options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    for (const key of keys) this.#assertKey(key);
    const waiting = keys.values();
    const work = async (): Promise<void> => {
      for (const key of waiting) await this.#deleteOne(key, options.signal);
    };
    const workers = Array.from({ length: Math.min(keys.length, maxDeletesInFlight) }, work);
    const outcomes = await Promise.allSettled(workers);
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  /** Nothing: the service does not list upload sessions, and ends them by itself after a week. */
  async *listUnfinished(prefix: string): AsyncGenerator<UnfinishedUpload> {
    assertKeyPrefix(prefix);
    yield* [];
  }

  async discardUnfinished(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {
    this.#calls.target.client[Symbol.dispose]();
  }

  async #openRange(request: RangeRequest): Promise<RangeAnswer | null> {
    const { key, range, signal } = request;
    const generation = request.generation === '' ? undefined : request.generation;
    const changed = (cause?: unknown): BackupError =>
      new BackupError('integrity', `${this.#calls.describe(key)} has changed since it was looked up`, { cause });
    // Another vendor's version, of an object that was copied here.
    if (generation !== undefined && !/^\d+$/.test(generation)) throw changed();
    const url = this.#calls.objectUrl(key, { alt: 'media', generation });
    const headers = { ...this.#calls.target.keyHeaders, range: `bytes=${range.start}-${range.end - 1}` };
    try {
      const message = await this.#calls.open({ method: 'GET', url, headers, signal });
      return toRangeAnswer(message, range, this.#calls.describe(key));
    } catch (error) {
      const status = gcsErrorStatus(error);
      if (status === 416) return null;
      if (status === 404 && generation !== undefined) throw changed(error);
      if (status === 404) await this.#calls.assertBucket(signal);
      signal.throwIfAborted();
      throw toGcsError(error, `read ${this.#calls.describe(key)}`);
    }
  }

  *#objectsOf(page: ListPage): Iterable<StoredObject> {
    const skip = this.#calls.fullKey('').length;
    for (const item of page.items ?? []) {
      const resource = toResource(item);
      const key = resource.name.slice(skip);
      // Consoles make empty "folders" whose names end in a slash: not ours.
      if (isObjectKey(key)) yield summarizeResource(key, resource);
    }
  }

  async #deleteOne(key: string, signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.#calls.remove(key, { signal });
    } catch (error) {
      throw error instanceof BackupError && error.kind === 'policy' ? await this.#explainLock(key, error) : error;
    }
  }

  /** Says what locks the object, and until when, where the credentials may look. */
  async #explainLock(key: string, error: BackupError): Promise<BackupError> {
    const found = await this.#calls.head(key).catch(() => null);
    const lock = found === null ? null : describeActiveLock(lockOf(found), new Date());
    if (lock === null) return error;
    return new BackupError('policy', `cannot delete ${this.#calls.describe(key)}: it is ${lock}`, {
      hint: error.hint,
      cause: error.cause,
    });
  }

  #assertKey(key: string): void {
    assertObjectKey(key);
    assertObjectKey(this.#calls.fullKey(key));
  }
}

interface ListPage {
  readonly items?: readonly unknown[];
  readonly nextPageToken?: string;
}

function toListPage(value: unknown): ListPage {
  const { kind } = (value ?? {}) as { readonly kind?: unknown };
  if (kind === 'storage#objects') return value as ListPage;
  throw new ForeignAnswer('no list');
}

interface RangeRequest {
  readonly key: string;
  readonly range: ByteRange;
  /** The only one to read; an earlier answer that named none gives an empty one. */
  readonly generation: string | undefined;
  readonly signal: AbortSignal;
}

/**
 * Parts of one size, the largest of which two fit twice into the memory. There is no limit to their number, only the 5
 * TiB of an object ("Quotas & limits"), so they need not grow.
 */
function planParts(memoryBytes: number): { limits: PartLimits; expectedSizeBytes: number } {
  const quarterBytes = Math.floor(memoryBytes / 4 / mebibyte) * mebibyte;
  const partBytes = Math.max(smallestPartBytes, Math.min(quarterBytes, largestPartBytes));
  const maxObjectBytes = 5 * mebibyte * mebibyte;
  const maxParts = 2 * Math.ceil(maxObjectBytes / partBytes);
  return { limits: { maxParts, maxPartBytes: partBytes, maxObjectBytes }, expectedSizeBytes: maxObjectBytes };
}

function toRangeAnswer(message: IncomingMessage, range: ByteRange, name: string): RangeAnswer {
  const contentRange = message.headers['content-range'];
  const objectBytes = Number(/\/(\d+)$/.exec(contentRange ?? '')?.[1] ?? message.headers['content-length']);
  const isWhole = contentRange === undefined;
  if (!Number.isSafeInteger(objectBytes) || (isWhole && (range.start > 0 || objectBytes > range.end))) {
    message.destroy();
    throw new BackupError('storage', `cannot read ${name}: the server does not answer range requests`);
  }
  const generation = message.headers['x-goog-generation'];
  return { body: message, objectBytes, contentTag: typeof generation === 'string' ? generation : '' };
}
