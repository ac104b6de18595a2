import { randomUUID } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  UploadPartCommand,
  type CompletedPart,
  type HeadObjectCommandOutput,
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
    const found = await this.calls.head(this.key, signal).catch(hiddenIfDenied);
    if (found !== null && found !== 'hidden') throw this.#alreadyThere();
  }

  /**
   * The outcome of `request`, which makes the object visible: what the store now has, compared with what was sent. A
   * failure is a success after all when the object there is ours: only the answer to an earlier attempt was lost.
   */
  async settle(request: Promise<PutAnswer>, sizeBytes: number): Promise<StoredObject> {
    const answer = await request.catch(async (error: unknown): Promise<PutAnswer> => {
      if (mayBeOwnSuccess(error) && this.#putIdOf(await this.#look()) === this.#putId) return {};
      throw error;
    });
    const found = await this.#look();
    const putId = this.#putIdOf(found);
    if (found === 'hidden' || (putId !== undefined && putId !== this.#putId)) {
      // Somebody has replaced it meanwhile; where it should exist once only, the server did not heed the condition.
      if (found !== 'hidden' && this.#isCreateOnly) throw this.#alreadyThere();
      return this.#describe(versionOf(answer), sizeBytes);
    }
    if (found === null)
      throw new BackupError('storage', `cannot ${this.action}: the server took it but does not have it`);
    if (found.ContentLength === sizeBytes) return describeHead(this.key, found);
    throw new BackupError(
      'integrity',
      `${this.calls.describe(this.key)} has ${found.ContentLength} of ${sizeBytes} bytes`,
    );
  }

  /** What is there now; `hidden` from credentials that may only write. */
  async #look(): Promise<HeadObjectCommandOutput | null | 'hidden'> {
    return await this.calls.head(this.key).catch(hiddenIfDenied);
  }

  #putIdOf(found: HeadObjectCommandOutput | null | 'hidden'): string | undefined {
    return found === null || found === 'hidden' ? undefined : found.Metadata?.[putIdMetadata];
  }

  #alreadyThere(): BackupError {
    return new BackupError('conflict', `cannot ${this.action}: it is there already`);
  }

  #describe(version: string | undefined, sizeBytes: number): StoredObject {
    return { key: this.key, sizeBytes, modifiedAt: new Date(), ...(version !== undefined && { version }) };
  }
}

/** What the answers to PutObject and CompleteMultipartUpload say of the new object. */
interface PutAnswer {
  readonly VersionId?: string | undefined;
  readonly ETag?: string | undefined;
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

function hiddenIfDenied(error: unknown): 'hidden' {
  if (error instanceof BackupError && error.kind === 'access') return 'hidden';
  throw error;
}
