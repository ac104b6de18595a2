import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  type GetObjectCommandOutput,
  type ListObjectsV2CommandOutput,
} from '@aws-sdk/client-s3';
import { BackupError } from '../core/backup-error.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import type { ByteRange } from './byte-range.ts';
import { uploadInParts } from './multipart.ts';
import { assertKeyPrefix, assertObjectKey, isObjectKey } from './object-key.ts';
import type { GetOptions, ObjectStore, PutOptions, StoredObject, UnfinishedUpload } from './object-store.ts';
import { s3PartLimits, smallestPartBytes } from './part-size.ts';
import { readRanges, type RangeAnswer } from './ranged-read.ts';
import { abortedBy, describeHead, S3Calls, versionOf } from './s3-calls.ts';
import { createS3Client } from './s3-client.ts';
import { s3ErrorStatus, toS3Error } from './s3-errors.ts';
import { abortUploads, listUnfinishedUploads } from './s3-unfinished.ts';
import { S3Put } from './s3-upload.ts';
import { defaultTimings, defaultUploadMemoryBytes, type OpenContext } from './store-settings.ts';
import type { StoreUrl } from './store-url.ts';

const maxPartsInFlight = 8;
// Larger or more ranges are no faster than a restore can use, and leave more buffers to the garbage collector.
const rangeBytes = 4 * 1024 * 1024;
const maxRangesInFlight = 4;
const maxKeysPerDelete = 1000;

/**
 * Objects in a bucket of Amazon S3 or a compatible server. Bodies go out in one request when they end within the first
 * part, otherwise as a multipart upload. Memory: `uploadMemoryBytes` for each `put` (see `uploadInParts`), 16 MiB for
 * each `get`.
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
  const client = await createS3Client(settings.s3 ?? {}, timings, deps);
  return new S3Store(new S3Calls({ client, bucket: url.bucket, prefix: url.prefix, url: text, timings }), memoryBytes);
}

class S3Store implements ObjectStore {
  readonly hasStableVersions = true;
  readonly #calls: S3Calls;
  readonly #memoryBytes: number;

  constructor(calls: S3Calls, memoryBytes: number) {
    this.#calls = calls;
    this.#memoryBytes = memoryBytes;
  }

  get url(): string {
    return this.#calls.target.url;
  }

  async put(key: string, body: ByteStream, options: PutOptions = {}): Promise<StoredObject> {
    this.#assertKey(key);
    options.signal?.throwIfAborted();
    const put = new S3Put(this.#calls, key, options.createOnly ?? false);
    await put.assertAbsent(options.signal);
    return await uploadInParts(body, put, {
      limits: s3PartLimits,
      memoryBytes: this.#memoryBytes,
      maxPartsInFlight,
      expectedSizeBytes: options.expectedSizeBytes,
      signal: options.signal,
    });
  }

  async *get(key: string, options: GetOptions = {}): ByteStream {
    this.#assertKey(key);
    const open = async (range: ByteRange, pin: string | undefined, signal: AbortSignal): Promise<RangeAnswer | null> =>
      await this.#openRange({ key, range, pin, version: options.version, signal });
    yield* readRanges(
      { open },
      {
        name: this.#calls.describe(key),
        start: options.start,
        end: options.end,
        rangeBytes,
        maxRangesInFlight,
        retry: this.#calls.retry(this.#calls.target.timings.patientRetry),
        signal: options.signal,
      },
    );
  }

  async head(key: string, options: { readonly signal?: AbortSignal } = {}): Promise<StoredObject | null> {
    this.#assertKey(key);
    const found = await this.#calls.head(key, options.signal);
    return found === null ? null : describeHead(key, found);
  }

  async *list(prefix: string, options: { readonly signal?: AbortSignal } = {}): AsyncGenerator<StoredObject> {
    assertKeyPrefix(prefix);
    const { client, bucket } = this.#calls.target;
    const input = { Bucket: bucket, Prefix: this.#calls.bucketKey(prefix) };
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
    const [only] = keys;
    if (only !== undefined && keys.length === 1) return await this.#deleteOne(only, options);
    for (let done = 0; done < keys.length; done += maxKeysPerDelete) {
      await this.#deleteMany(keys.slice(done, done + maxKeysPerDelete), options);
    }
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

  async #openRange(request: RangeRequest): Promise<RangeAnswer | null> {
    const { key, range, pin, version, signal } = request;
    const { client, bucket } = this.#calls.target;
    const Range = `bytes=${range.start}-${range.end - 1}`;
    const input = { Bucket: bucket, Key: this.#calls.bucketKey(key), Range, ...contentCondition(version, pin) };
    try {
      const answer = await client.send(new GetObjectCommand(input), { abortSignal: signal });
      return toRangeAnswer(answer, range, this.#calls.describe(key));
    } catch (error) {
      const status = s3ErrorStatus(error);
      if (status === 416) return null;
      if (status === 412) {
        throw new BackupError('integrity', `${this.#calls.describe(key)} has changed since it was looked up`, {
          cause: error,
        });
      }
      throw toS3Error(error, `read ${this.#calls.describe(key)}`);
    }
  }

  *#objectsOf(page: ListObjectsV2CommandOutput): Iterable<StoredObject> {
    const skip = this.#calls.bucketKey('').length;
    for (const { Key = '', Size = 0, LastModified = new Date(0), ETag } of page.Contents ?? []) {
      const key = Key.slice(skip);
      const version = versionOf({ ETag });
      // Consoles make empty "folders" whose keys end in a slash: not ours.
      if (!isObjectKey(key)) continue;
      yield { key, sizeBytes: Size, modifiedAt: LastModified, ...(version !== undefined && { version }) };
    }
  }

  async #deleteOne(key: string, options: { readonly signal?: AbortSignal }): Promise<void> {
    const { client, bucket } = this.#calls.target;
    const command = { Bucket: bucket, Key: this.#calls.bucketKey(key) };
    const request = async () => await client.send(new DeleteObjectCommand(command), abortedBy(options.signal));
    await this.#calls.run(`delete ${this.#calls.describe(key)}`, request, options);
  }

  async #deleteMany(keys: readonly string[], options: { readonly signal?: AbortSignal }): Promise<void> {
    const { client, bucket } = this.#calls.target;
    const Objects = keys.map((key) => ({ Key: this.#calls.bucketKey(key) }));
    const input = { Bucket: bucket, Delete: { Objects, Quiet: true } };
    const request = async () => await client.send(new DeleteObjectsCommand(input), abortedBy(options.signal));
    const answer = await this.#calls.run(`delete objects of "${this.url}"`, request, options);
    const failed = answer.Errors?.find(({ Code }) => Code !== 'NoSuchKey');
    if (failed === undefined) return;
    const key = (failed.Key ?? '').slice(this.#calls.bucketKey('').length);
    const error = Object.assign(new Error(failed.Message ?? ''), { name: failed.Code ?? 'Error' });
    throw toS3Error(error, `delete ${this.#calls.describe(key)}`);
  }

  #assertKey(key: string): void {
    assertObjectKey(key);
    assertObjectKey(this.#calls.bucketKey(key));
  }
}

interface RangeRequest {
  readonly key: string;
  readonly range: ByteRange;
  readonly pin: string | undefined;
  readonly version: string | undefined;
  readonly signal: AbortSignal;
}

/**
 * Between the ranges of one read the ETag holds the content fast, not the version id: asking for a version needs a right
 * of its own (s3:GetObjectVersion), which is asked for only when the caller wants a version.
 */
function contentCondition(
  version: string | undefined,
  pin: string | undefined,
): { VersionId?: string; IfMatch?: string } {
  const isEtag = version?.startsWith('"') ?? false;
  const etag = isEtag ? version : pin;
  return {
    ...(version !== undefined && !isEtag && { VersionId: version }),
    ...(etag !== undefined && etag !== '' && { IfMatch: etag }),
  };
}

function toRangeAnswer(answer: GetObjectCommandOutput, range: ByteRange, name: string): RangeAnswer {
  const objectBytes = Number(/\/(\d+)$/.exec(answer.ContentRange ?? '')?.[1] ?? answer.ContentLength);
  const isWhole = answer.ContentRange === undefined;
  if (!Number.isSafeInteger(objectBytes) || (isWhole && (range.start > 0 || objectBytes > range.end))) {
    throw new BackupError('storage', `cannot read ${name}: the server does not answer range requests`);
  }
  const body = answer.Body as ByteStream | undefined;
  return { body: body ?? noBytes(), objectBytes, contentTag: answer.ETag ?? '' };
}

async function* noBytes(): ByteStream {}
