import { createHash } from 'node:crypto';
import type { BlobDownloadResponseParsed, BlobItem, CpkInfo } from '@azure/storage-blob';
import { BackupError } from '../core/backup-error.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import { describeActiveLock } from '../core/object-lock.ts';
import { AzureCalls } from './azure-calls.ts';
import { createAzureClient, type AzureClient } from './azure-client.ts';
import { checkAzureSettings } from './azure-demands.ts';
import { azureErrorCode, azureErrorStatus, toAzureError } from './azure-errors.ts';
import { describeProperties, isEtag, toObjectLock, versionOf } from './azure-object.ts';
import { AzurePut, type AzureDemands } from './azure-put.ts';
import type { ByteRange } from './byte-range.ts';
import { uploadInParts } from './multipart.ts';
import { assertKeyPrefix, assertObjectKey, isObjectKey } from './object-key.ts';
import type { GetOptions, ObjectStore, PutOptions, StoredObject, UnfinishedUpload } from './object-store.ts';
import { shareMemory, type PartLimits } from './part-size.ts';
import type { RangeAnswer } from './ranged-read.ts';
import { abortedBy, hiddenIfDenied } from './store-calls.ts';
import { defaultTimings, defaultUploadMemoryBytes, type OpenContext } from './store-settings.ts';
import type { StoreUrl } from './store-url.ts';

const mebibyte = 1024 * 1024;

/** "Scalability and performance targets for Blob storage": 50,000 blocks of at most 4,000 MiB. */
const azurePartLimits: PartLimits = {
  maxParts: 50_000,
  maxPartBytes: 4000 * mebibyte,
  maxObjectBytes: 50_000 * 4000 * mebibyte,
};

const maxPartsInFlight = 8;
const maxDeletesInFlight = 8;

interface AzureStoreParts {
  readonly client: AzureClient;
  readonly calls: AzureCalls;
  readonly demands: AzureDemands;
  readonly memoryBytes: number;
}

/**
 * Objects in a container of Azure Blob Storage. Bodies go out in one request when they end within the first part,
 * otherwise as blocks; the service checks the MD5 of each. Memory: `uploadMemoryBytes` for each `put` (see
 * `uploadInParts`), 16 MiB for each `get`. Blocks of a failed `put` stay with the service for a week, unseen: see
 * `AzurePut`.
 */
export async function openAzureStore(
  url: Extract<StoreUrl, { scheme: 'az' }>,
  { text, settings, deps }: OpenContext,
): Promise<ObjectStore> {
  const timings = { ...defaultTimings, ...deps.timings };
  const azure = settings.azure ?? {};
  const demands = checkAzureSettings(url, settings);
  const client = await createAzureClient({ url, settings: azure, timings, deps });
  const cpk = azure.encryption?.method === 'azure-cpk' ? toCpk(azure.encryption.key.reveal()) : undefined;
  if (cpk !== undefined && !client.isEncryptedInTransit) {
    throw new BackupError('config', 'a customer-provided key cannot be used over an endpoint without TLS', {
      hint: 'Give an endpoint that begins with https://.',
    });
  }
  const calls = new AzureCalls({ container: client.container, prefix: url.prefix, url: text, timings, cpk });
  const memoryBytes = settings.uploadMemoryBytes ?? defaultUploadMemoryBytes;
  return new AzureStore({ client, calls, demands, memoryBytes });
}

class AzureStore implements ObjectStore {
  readonly hasStableVersions = true;
  readonly #parts: AzureStoreParts;
  readonly #calls: AzureCalls;

  constructor(parts: AzureStoreParts) {
    this.#parts = parts;
    this.#calls = parts.calls;
  }

  get url(): string {
    return this.#calls.target.url;
  }

  async put(key: string, body: ByteStream, options: PutOptions = {}): Promise<StoredObject> {
    this.#assertKey(key);
    options.signal?.throwIfAborted();
    const { demands, memoryBytes } = this.#parts;
    const put = new AzurePut({ calls: this.#calls, demands, key, isCreateOnly: options.createOnly ?? false });
    await put.assertAbsent(options.signal);
    return await uploadInParts(body, put, {
      limits: azurePartLimits,
      memoryBytes: shareMemory(memoryBytes, options.sharedBy),
      maxPartsInFlight,
      expectedSizeBytes: options.expectedSizeBytes,
      signal: options.signal,
    });
  }

  async *get(key: string, options: GetOptions = {}): ByteStream {
    this.#assertKey(key);
    const open = async (range: ByteRange, pin: string | undefined, signal: AbortSignal): Promise<RangeAnswer | null> =>
      await this.#openRange({ key, range, pin, version: options.version, signal });
    yield* this.#calls.read(key, { open }, options);
  }

  async head(key: string, options: { readonly signal?: AbortSignal } = {}): Promise<StoredObject | null> {
    this.#assertKey(key);
    const found = await this.#calls.head(key, options.signal);
    return found === null ? null : describeProperties(key, found);
  }

  async *list(prefix: string, options: { readonly signal?: AbortSignal } = {}): AsyncGenerator<StoredObject> {
    assertKeyPrefix(prefix);
    const blobs = this.#calls.target.container.listBlobsFlat({
      prefix: this.#calls.fullKey(prefix),
      ...(options.signal !== undefined && { abortSignal: options.signal }),
    });
    let continuationToken: string | undefined;
    do {
      const from = continuationToken === undefined ? {} : { continuationToken };
      // A page that failed ends its iterator, so every attempt has its own.
      const request = async () => await blobs.byPage(from).next();
      const { value: page } = await this.#calls.run(`list "${this.url}"`, request, options);
      yield* this.#objectsOf(page.segment.blobItems);
      continuationToken = page.continuationToken || undefined;
    } while (continuationToken !== undefined);
  }

  async delete(keys: readonly string[], options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    for (const key of keys) this.#assertKey(key);
    options.signal?.throwIfAborted();
    const waiting = keys.values();
    const deleteWaiting = async (): Promise<void> => {
      for (const key of waiting) await this.#deleteOne(key, options);
    };
    const workers = Array.from({ length: Math.min(keys.length, maxDeletesInFlight) }, deleteWaiting);
    const failed = (await Promise.allSettled(workers)).find(({ status }) => status === 'rejected');
    if (failed?.status === 'rejected') throw failed.reason;
  }

  /**
   * Nothing: blocks that were never committed go by themselves after a week. The service would name their blobs ("List
   * Blobs", `uncommittedblobs`), but to discard them it takes an empty blob, which may be locked or kept as a version at
   * once, and ends an upload that is still under way.
   */
  async *listUnfinished(prefix: string): AsyncGenerator<UnfinishedUpload> {
    assertKeyPrefix(prefix);
    yield* [];
  }

  async discardUnfinished(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {
    this.#parts.client[Symbol.dispose]();
  }

  async #openRange({ key, range, pin, version, signal }: RangeRequest): Promise<RangeAnswer | null> {
    const name = this.#calls.describe(key);
    const blob = this.#calls.blob(key);
    const isVersionId = version !== undefined && !isEtag(version);
    const ifMatch = isVersionId ? pin : (version ?? pin);
    try {
      const answer = await (isVersionId ? blob.withVersion(version) : blob).download(
        range.start,
        range.end - range.start,
        { ...this.#calls.reading(signal), ...(ifMatch && { conditions: { ifMatch } }), maxRetryRequests: 0 },
      );
      return toRangeAnswer(answer, name);
    } catch (error) {
      if (azureErrorStatus(error) === 416) return null;
      if (azureErrorCode(error) === 'ConditionNotMet') {
        throw new BackupError('integrity', `${name} has changed since it was looked up`, { cause: error });
      }
      throw toAzureError(error, `read ${name}`);
    }
  }

  *#objectsOf(items: readonly BlobItem[]): Iterable<StoredObject> {
    const skip = this.#calls.fullKey('').length;
    for (const { name, properties } of items) {
      const key = name.slice(skip);
      const version = versionOf({ etag: properties.etag });
      // Tools make empty "folders" whose names end in a slash: not ours.
      if (!isObjectKey(key)) continue;
      yield {
        key,
        sizeBytes: properties.contentLength ?? 0,
        modifiedAt: properties.lastModified,
        ...(version !== undefined && { version }),
      };
    }
  }

  /**
   * Looks before it deletes: where the account keeps versions, the service would take the deletion of a locked object and
   * only hide it.
   */
  async #deleteOne(key: string, options: { readonly signal?: AbortSignal }): Promise<void> {
    const name = this.#calls.describe(key);
    const found = await this.#calls.head(key, options.signal).catch(hiddenIfUnreadable);
    if (found === null) return;
    const lock = found === 'hidden' ? null : describeActiveLock(toObjectLock(found), new Date());
    if (lock !== null) {
      throw new BackupError('policy', `cannot delete ${name}: it is ${lock}`, {
        hint: 'Wait until the lock ends, or lift it if it can be lifted.',
      });
    }
    const request = async (): Promise<void> => {
      try {
        await this.#calls.blob(key).delete(abortedBy(options.signal));
      } catch (error) {
        if (azureErrorCode(error) !== 'BlobNotFound') throw error;
      }
    };
    await this.#calls.run(`delete ${name}`, request, options);
  }

  #assertKey(key: string): void {
    assertObjectKey(key);
    assertObjectKey(this.#calls.fullKey(key));
  }
}

interface RangeRequest {
  readonly key: string;
  readonly range: ByteRange;
  readonly pin: string | undefined;
  readonly version: string | undefined;
  readonly signal: AbortSignal;
}

function toRangeAnswer(answer: BlobDownloadResponseParsed, name: string): RangeAnswer {
  const objectBytes = Number(/\/(\d+)$/.exec(answer.contentRange ?? '')?.[1]);
  const body = answer.readableStreamBody as (NodeJS.ReadableStream & ByteStream) | undefined;
  if (Number.isSafeInteger(objectBytes) && body !== undefined) {
    // A body that is cut off before somebody reads it must not end the process; whoever reads it later still sees it.
    body.on('error', () => {});
    return { body, objectBytes, contentTag: answer.etag ?? '' };
  }
  throw new BackupError('storage', `cannot read ${name}: the server does not answer range requests`);
}

/** Neither without the right to read nor without the customer's key an object can be looked at; it can be deleted. */
function hiddenIfUnreadable(error: unknown): 'hidden' {
  return error instanceof BackupError && error.kind === 'key' ? 'hidden' : hiddenIfDenied(error);
}

function toCpk(key: Uint8Array): CpkInfo {
  return {
    encryptionKey: Buffer.from(key).toString('base64'),
    encryptionKeySha256: createHash('sha256').update(key).digest('base64'),
    encryptionAlgorithm: 'AES256',
  };
}
