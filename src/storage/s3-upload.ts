import { randomUUID } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  UploadPartCommand,
  type CompletedPart,
} from '@aws-sdk/client-s3';
import { BackupError } from '../core/backup-error.ts';
import type { Part, PartTarget, PartUpload } from './multipart.ts';
import type { StoredObject } from './object-store.ts';
import { describeHead, putIdMetadata, versionOf, type S3Calls } from './s3-calls.ts';
import { s3ErrorName } from './s3-errors.ts';

/**
 * One `put` into S3. The object carries a random id of this put in its metadata: when the answer to the request that
 * creates it is lost, the repetition says that the object exists already (or that the upload does not any more), and
 * the id tells whether the object is ours.
 */
export class S3Put implements PartTarget<StoredObject> {
  readonly calls: S3Calls;
  readonly key: string;
  readonly action: string;
  readonly #isCreateOnly: boolean;
  readonly #putId = randomUUID();

  constructor(calls: S3Calls, key: string, isCreateOnly: boolean) {
    this.calls = calls;
    this.key = key;
    this.action = `store ${calls.describe(key)}`;
    this.#isCreateOnly = isCreateOnly;
  }

  get address(): { Bucket: string; Key: string } {
    return { Bucket: this.calls.target.bucket, Key: this.calls.bucketKey(this.key) };
  }

  get condition(): { IfNoneMatch?: string } {
    return this.#isCreateOnly ? { IfNoneMatch: '*' } : {};
  }

  get metadata(): { Metadata: Record<string, string> } {
    return { Metadata: { [putIdMetadata]: this.#putId } };
  }

  async putWhole(bytes: Buffer, signal: AbortSignal): Promise<StoredObject> {
    const { client, timings } = this.calls.target;
    const input = {
      ...this.address,
      ...this.condition,
      ...this.metadata,
      Body: bytes,
      ContentLength: bytes.byteLength,
    };
    const request = this.calls.run(this.action, async () => await client.send(new PutObjectCommand(input)), {
      signal,
      policy: timings.patientRetry,
    });
    return await this.settle(request, bytes.byteLength);
  }

  async begin(signal: AbortSignal): Promise<S3PartUpload> {
    const { client, timings } = this.calls.target;
    const input = { ...this.address, ...this.metadata };
    const request = async (): Promise<string> => {
      const { UploadId } = await client.send(new CreateMultipartUploadCommand(input));
      if (UploadId !== undefined) return UploadId;
      throw new BackupError('storage', `cannot ${this.action}: the server did not begin the upload`);
    };
    const uploadId = await this.calls.run(this.action, request, { signal, policy: timings.patientRetry });
    return new S3PartUpload(this, uploadId);
  }

  /**
   * Fails with `conflict` when a create-only key exists. The condition on the request itself is what counts; this look
   * beforehand spares the upload, and helps with servers that ignore the condition (Ceph 16 does on multipart uploads).
   */
  async assertAbsent(signal: AbortSignal | undefined): Promise<void> {
    if (!this.#isCreateOnly) return;
    const found = await this.calls.head(this.key, signal).catch(unlessDenied);
    if (found === null) return;
    throw new BackupError('conflict', `cannot ${this.action}: it is there already`);
  }

  /** The outcome of the request that makes the object visible: what the store now has, checked against what was sent. */
  async settle(
    request: Promise<{ VersionId?: string | undefined; ETag?: string | undefined }>,
    sizeBytes: number,
  ): Promise<StoredObject> {
    try {
      const answer = await request;
      return (await this.#findOwn(sizeBytes)) ?? this.#describe(versionOf(answer), sizeBytes);
    } catch (error) {
      const own = mayBeOwnSuccess(error) ? await this.#findOwn(sizeBytes) : null;
      if (own !== null) return own;
      throw error;
    }
  }

  /** The stored object if this put made it. `null`: somebody else's, or these credentials may not look. */
  async #findOwn(sizeBytes: number): Promise<StoredObject | null> {
    const found = await this.calls.head(this.key).catch(unlessDenied);
    if (found?.Metadata?.[putIdMetadata] !== this.#putId) return null;
    if (found.ContentLength === sizeBytes) return describeHead(this.key, found);
    throw new BackupError(
      'integrity',
      `${this.calls.describe(this.key)} has ${found.ContentLength} of ${sizeBytes} bytes`,
    );
  }

  #describe(version: string | undefined, sizeBytes: number): StoredObject {
    return { key: this.key, sizeBytes, modifiedAt: new Date(), ...(version !== undefined && { version }) };
  }
}

class S3PartUpload implements PartUpload<StoredObject> {
  readonly #put: S3Put;
  readonly #uploadId: string;
  readonly #parts: (CompletedPart & { PartNumber: number })[] = [];
  #sizeBytes = 0;

  constructor(put: S3Put, uploadId: string) {
    this.#put = put;
    this.#uploadId = uploadId;
  }

  async sendPart(part: Part, signal: AbortSignal): Promise<void> {
    const { client, timings } = this.#put.calls.target;
    const input = { ...this.#upload, PartNumber: part.number, Body: part.bytes, ContentLength: part.bytes.byteLength };
    const request = async () => await client.send(new UploadPartCommand(input), { abortSignal: signal });
    const answer = await this.#put.calls.run(this.#put.action, request, { signal, policy: timings.patientRetry });
    this.#parts.push({ PartNumber: part.number, ETag: answer.ETag, ChecksumCRC32: answer.ChecksumCRC32 });
    this.#sizeBytes += part.bytes.byteLength;
  }

  async complete(signal: AbortSignal): Promise<StoredObject> {
    const { client, timings } = this.#put.calls.target;
    await this.#put.assertAbsent(signal);
    const Parts = this.#parts.toSorted((a, b) => a.PartNumber - b.PartNumber);
    const input = { ...this.#upload, ...this.#put.condition, MultipartUpload: { Parts } };
    const request = async () => await client.send(new CompleteMultipartUploadCommand(input));
    const completed = this.#put.calls.run(this.#put.action, request, { signal, policy: timings.patientRetry });
    return await this.#put.settle(completed, this.#sizeBytes);
  }

  async abort(): Promise<void> {
    const { client } = this.#put.calls.target;
    const request = async () => await client.send(new AbortMultipartUploadCommand(this.#upload));
    await this.#put.calls.run(`abort the upload of ${this.#put.calls.describe(this.#put.key)}`, request);
  }

  get #upload(): { Bucket: string; Key: string; UploadId: string } {
    return { ...this.#put.address, UploadId: this.#uploadId };
  }
}

/** Errors that a repetition gets when the first call succeeded and only its answer was lost. */
function mayBeOwnSuccess(error: unknown): boolean {
  return (error instanceof BackupError && error.kind === 'conflict') || s3ErrorName(error) === 'NoSuchUpload';
}

/** Credentials that may only write cannot look at objects: then we do without. */
function unlessDenied(error: unknown): null {
  if (error instanceof BackupError && error.kind === 'access') return null;
  throw error;
}
