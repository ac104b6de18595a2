import { ListObjectsV2Command, type ListObjectsV2CommandOutput } from '@aws-sdk/client-s3';
import { BackupError } from '../core/backup-error.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import { uploadInParts, type PartUploadOptions } from './multipart.ts';
import { assertKeyPrefix, assertObjectKey, isObjectKey } from './object-key.ts';
import type { GetOptions, ObjectStore, PutOptions, StoredObject, UnfinishedUpload } from './object-store.ts';
import { shareMemory, smallestPartBytes } from './part-size.ts';
import { S3Bucket } from './s3-bucket.ts';
import { describeHead, S3Calls, versionOf } from './s3-calls.ts';
import { createS3Client } from './s3-client.ts';
import { deleteObjects } from './s3-delete.ts';
import { assertUsableTags, partLimits } from './s3-object-input.ts';
import { S3Ranges } from './s3-read.ts';
import { abortUploads, listUnfinishedUploads } from './s3-unfinished.ts';
import { S3Put } from './s3-upload.ts';
import { abortedBy } from './store-calls.ts';
import { defaultTimings, defaultUploadMemoryBytes, type OpenContext } from './store-settings.ts';
import type { StoreUrl } from './store-url.ts';

const maxPartsInFlight = 8;

/**
 * Objects in a bucket of Amazon S3 or a compatible server. Bodies go out in one request when they end within the first
 * part, otherwise as a multipart upload. Memory: `uploadMemoryBytes` for each `put` (see `uploadInParts`), 16 MiB for
 * each `get`.
 *
 * In a bucket that keeps versions, which every bucket with Object Lock does, `delete` leaves a marker before which the
 * versions stay: the object is gone from `list`, `head` and `get`, also when it is locked, and its bytes are there until
 * a lifecycle rule of the bucket removes them. Only what a `put` made and could not prove is removed as a version.
 */
export async function openS3Store(
  url: Extract<StoreUrl, { scheme: 's3' }>,
  { text, settings, deps }: OpenContext,
): Promise<ObjectStore> {
  const timings = { ...defaultTimings, ...deps.timings };
  const memoryBytes = settings.uploadMemoryBytes ?? defaultUploadMemoryBytes;
  if (memoryBytes < smallestPartBytes) {
    throw new BackupError('config', `${memoryBytes} bytes of memory are too few for an upload`, {
      hint: `Allow at least ${smallestPartBytes}.`,
    });
  }
  assertUsableTags(settings.tags ?? {});
  const limits = partLimits(settings.s3 ?? {});
  const client = await createS3Client(settings.s3 ?? {}, timings, deps);
  const target = { client, bucket: url.bucket, prefix: url.prefix, url: text, timings, settings };
  return new S3Store(new S3Calls(target), { limits, memoryBytes, maxPartsInFlight });
}

class S3Store implements ObjectStore {
  readonly hasStableVersions = true;
  readonly #calls: S3Calls;
  readonly #bucket: S3Bucket;
  readonly #uploadOptions: PartUploadOptions;

  constructor(calls: S3Calls, uploadOptions: PartUploadOptions) {
    this.#calls = calls;
    this.#bucket = new S3Bucket(calls);
    this.#uploadOptions = uploadOptions;
  }

  get url(): string {
    return this.#calls.target.url;
  }

  async put(key: string, body: ByteStream, options: PutOptions = {}): Promise<StoredObject> {
    this.#assertKey(key);
    options.signal?.throwIfAborted();
    await this.#bucket.assertReady();
    const put = new S3Put(this.#calls, key, options.createOnly ?? false);
    await put.assertAbsent(options.signal);
    return await uploadInParts(body, put, {
      ...this.#uploadOptions,
      memoryBytes: shareMemory(this.#uploadOptions.memoryBytes, options.sharedBy),
      expectedSizeBytes: options.expectedSizeBytes,
      signal: options.signal,
    });
  }

  async *get(key: string, options: GetOptions = {}): ByteStream {
    this.#assertKey(key);
    yield* this.#calls.read(key, new S3Ranges(this.#calls, key, options.version), options);
  }

  async head(key: string, options: { readonly signal?: AbortSignal } = {}): Promise<StoredObject | null> {
    this.#assertKey(key);
    const found = await this.#calls.head(key, options);
    return found === null ? null : describeHead(key, found);
  }

  async *list(prefix: string, options: { readonly signal?: AbortSignal } = {}): AsyncGenerator<StoredObject> {
    assertKeyPrefix(prefix);
    const { client, bucket } = this.#calls.target;
    const input = { Bucket: bucket, Prefix: this.#calls.fullKey(prefix) };
    let ContinuationToken: string | undefined;
    do {
      const page: ListObjectsV2CommandOutput = await this.#calls.run(
        `list "${this.url}"`,
        async () =>
          await client.send(new ListObjectsV2Command({ ...input, ContinuationToken }), abortedBy(options.signal)),
        options,
      );
      yield* this.#objectsOf(page);
      ContinuationToken = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    } while (ContinuationToken !== undefined);
  }

  async delete(keys: readonly string[], options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    for (const key of keys) this.#assertKey(key);
    await deleteObjects(this.#calls, keys, options);
  }

  async *listUnfinished(
    prefix: string,
    options: { readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<UnfinishedUpload> {
    assertKeyPrefix(prefix);
    yield* listUnfinishedUploads(this.#calls, prefix, options);
  }

  async discardUnfinished(
    uploads: readonly UnfinishedUpload[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    for (const { key } of uploads) this.#assertKey(key);
    await abortUploads(this.#calls, uploads, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#calls.target.client.destroy();
  }

  *#objectsOf(page: ListObjectsV2CommandOutput): Iterable<StoredObject> {
    const skip = this.#calls.fullKey('').length;
    for (const { Key = '', Size = 0, LastModified = new Date(0), ETag } of page.Contents ?? []) {
      const key = Key.slice(skip);
      const version = versionOf({ ETag });
      // Consoles make empty "folders" whose keys end in a slash: not ours.
      if (!isObjectKey(key)) continue;
      yield { key, sizeBytes: Size, modifiedAt: LastModified, ...(version !== undefined && { version }) };
    }
  }

  #assertKey(key: string): void {
    assertObjectKey(key);
    assertObjectKey(this.#calls.fullKey(key));
  }
}
