import { randomUUID } from 'node:crypto';
import { crc32 } from 'node:zlib';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  UploadPartCommand,
  type CompletedPart,
  type CreateMultipartUploadCommandOutput,
  type HeadObjectCommandOutput,
} from '@aws-sdk/client-s3';
import { BackupError } from '../core/backup-error.ts';
import type { ObjectLock } from '../core/object-lock.ts';
import { md5Of } from './md5.ts';
import type { Part, PartTarget, PartUpload } from './multipart.ts';
import type { StoredObject } from './object-store.ts';
import { describeHead, versionOf, type S3Calls } from './s3-calls.ts';
import type { EncryptionAnswer } from './s3-encryption.ts';
import { isTransientS3Error, s3ErrorName, s3ErrorStatus } from './s3-errors.ts';
import { toObjectLock } from './s3-lock.ts';
import { objectInput, type ObjectInput } from './s3-object-input.ts';
import { proveSettings, type ProvenSettings } from './s3-proof.ts';
import { hiddenIfDenied, isUnderOtherKey, putIdMetadata } from './store-calls.ts';

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
  #lock: ObjectLock | undefined;

  constructor(calls: S3Calls, key: string, isCreateOnly: boolean) {
    this.calls = calls;
    this.key = key;
    this.action = `store ${calls.describe(key)}`;
    this.#isCreateOnly = isCreateOnly;
  }

  get address(): { Bucket: string; Key: string } {
    return { Bucket: this.calls.target.bucket, Key: this.calls.fullKey(this.key) };
  }

  get condition(): { IfNoneMatch?: string } {
    return this.#isCreateOnly ? { IfNoneMatch: '*' } : {};
  }

  /** Whether the server knows only the checksums of before 2025: Content-MD5. */
  get hasOldChecksums(): boolean {
    return this.calls.target.settings.s3?.checksumMode === 'when-required';
  }

  async putWhole(bytes: Buffer, signal: AbortSignal): Promise<StoredObject> {
    const { client, timings } = this.calls.target;
    const input = {
      ...this.address,
      ...this.condition,
      ...this.#beginObject(),
      Body: bytes,
      ContentLength: bytes.byteLength,
      ...(this.hasOldChecksums && { ContentMD5: md5Of(bytes) }),
    };
    const request = this.calls.run(this.action, async () => await client.send(new PutObjectCommand(input)), {
      signal,
      policy: timings.patientRetry,
    });
    return await this.settle(request, bytes.byteLength);
  }

  async begin(signal: AbortSignal): Promise<S3PartUpload> {
    const { timings } = this.calls.target;
    const input = { ...this.address, ...this.#beginObject() };
    const request = async (): Promise<CreateMultipartUploadCommandOutput> => await this.#createUpload(input);
    const created = await this.calls.run(this.action, request, { signal, policy: timings.patientRetry });
    const { UploadId } = created;
    if (UploadId !== undefined) return new S3PartUpload(this, { ...created, UploadId });
    throw new BackupError('storage', `cannot ${this.action}: the server did not begin the upload`);
  }

  /** Asks for a checksum of the whole object, too, and does without it where the server refuses that. */
  async #createUpload(input: BeginInput): Promise<CreateMultipartUploadCommandOutput> {
    const { client } = this.calls.target;
    if (this.hasOldChecksums) return await client.send(new CreateMultipartUploadCommand(input));
    const checked = { ...input, ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' } as const;
    try {
      return await client.send(new CreateMultipartUploadCommand(checked));
    } catch (error) {
      if (s3ErrorStatus(error) !== 400 && s3ErrorStatus(error) !== 501) throw error;
      return await client.send(new CreateMultipartUploadCommand(input)).catch(() => {
        throw error;
      });
    }
  }

  #beginObject(): ObjectInput & { Metadata: Record<string, string> } {
    const { settings } = this.calls.target;
    this.#lock = settings.lock === undefined ? undefined : toObjectLock(settings.lock, new Date());
    return { ...objectInput(this.key, settings, this.#lock), Metadata: { [putIdMetadata]: this.#putId } };
  }

  /**
   * Fails with `conflict` when a create-only key exists. The condition on the request itself is what counts; this look
   * beforehand spares the upload, and helps with servers that ignore the condition (Ceph 16 does on multipart uploads).
   */
  async assertAbsent(signal: AbortSignal | undefined): Promise<void> {
    if (!this.#isCreateOnly) return;
    const found = await this.calls.head(this.key, { signal }).catch(hiddenIfDenied).catch(foreignIfUnderOtherKey);
    if (found !== null && found !== 'hidden') throw this.#alreadyThere();
  }

  /**
   * The outcome of `request`, which makes the object visible: what the store now has, compared with what was sent. A
   * failure is a success after all when the object there is ours: only the answer to an earlier attempt was lost.
   */
  async settle(request: Promise<PutAnswer>, sizeBytes: number): Promise<StoredObject> {
    const answer = await request.catch(async (error: unknown): Promise<PutAnswer> => {
      if (mayBeOwnSuccess(error) && (await this.#isOwnThere(error))) return {};
      throw error;
    });
    const found = await this.#look();
    const putId = this.#putIdOf(found);
    if (found === 'hidden' || (putId !== undefined && putId !== this.#putId)) {
      // Somebody has replaced it meanwhile; where it should exist once only, the server did not heed the condition.
      if (found !== 'hidden' && this.#isCreateOnly) throw this.#alreadyThere();
      return this.#describe(versionOf(answer), sizeBytes, await this.#prove(answer, undefined));
    }
    if (found === null)
      throw new BackupError('storage', `cannot ${this.action}: the server took it but does not have it`);
    if (found.ContentLength === sizeBytes) {
      return { ...describeHead(this.key, found), ...(await this.#prove(answer, found)) };
    }
    throw new BackupError(
      'integrity',
      `${this.calls.describe(this.key)} has ${found.ContentLength} of ${sizeBytes} bytes`,
    );
  }

  /** Whether this put has made the object although it failed with `failure`. */
  async #isOwnThere(failure: unknown): Promise<boolean> {
    const found = await this.#look().catch((error: unknown) => {
      // Something is there, and nobody knows whose it is: that is no conflict, which would be somebody else's.
      if (isConflict(failure) && !isUnderOtherKey(error)) throw error;
      return null;
    });
    return this.#putIdOf(found) === this.#putId;
  }

  async #prove(answer: PutAnswer, head: HeadObjectCommandOutput | undefined): Promise<ProvenSettings> {
    const versionId = answer.VersionId ?? head?.VersionId;
    return await proveSettings(this.calls, { key: this.key, versionId, answer, head, lock: this.#lock });
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

  #describe(version: string | undefined, sizeBytes: number, proven: ProvenSettings): StoredObject {
    return { key: this.key, sizeBytes, modifiedAt: new Date(), ...(version !== undefined && { version }), ...proven };
  }
}

interface BeginInput extends ObjectInput {
  readonly Bucket: string;
  readonly Key: string;
}

/** What the answers to PutObject and CompleteMultipartUpload say of the new object. */
interface PutAnswer extends EncryptionAnswer {
  readonly VersionId?: string | undefined;
  readonly ETag?: string | undefined;
}

class S3PartUpload implements PartUpload<StoredObject> {
  readonly #put: S3Put;
  readonly #created: Created;
  readonly #parts: (CompletedPart & { PartNumber: number })[] = [];
  #sizeBytes = 0;
  /** Of all parts so far. */
  #crc32 = 0;

  constructor(put: S3Put, created: Created) {
    this.#put = put;
    this.#created = created;
  }

  async sendPart(part: Part, signal: AbortSignal): Promise<void> {
    const { client, timings } = this.#put.calls.target;
    const { number: PartNumber, bytes } = part;
    // Before the first wait, hence in the order of the parts.
    const checksum = this.#checksumOf(bytes);
    const address = { ...this.#upload, ...this.#put.calls.customerKey, PartNumber };
    const input = { ...address, ...checksum, Body: bytes, ContentLength: bytes.byteLength };
    const request = async () => await client.send(new UploadPartCommand(input), { abortSignal: signal });
    const answer = await this.#put.calls.run(this.#put.action, request, { signal, policy: timings.patientRetry });
    this.#parts.push({ PartNumber, ETag: answer.ETag, ChecksumCRC32: answer.ChecksumCRC32 });
    this.#sizeBytes += bytes.byteLength;
  }

  async complete(signal: AbortSignal): Promise<StoredObject> {
    const { client, timings } = this.#put.calls.target;
    await this.#put.assertAbsent(signal);
    const Parts = this.#parts.toSorted((a, b) => a.PartNumber - b.PartNumber);
    const input = {
      ...this.#upload,
      ...this.#put.calls.customerKey,
      ...this.#put.condition,
      ...this.#wholeChecksum(),
      MultipartUpload: { Parts },
    };
    const request = async () => await client.send(new CompleteMultipartUploadCommand(input));
    const completed = this.#put.calls.run(this.#put.action, request, { signal, policy: timings.patientRetry });
    return await this.#put.settle(this.#withEncryption(completed), this.#sizeBytes);
  }

  /** What the server verifies of a part, beside the SHA-256 in the signature of the request. */
  #checksumOf(bytes: Buffer): { ContentMD5: string } | { ChecksumCRC32: string } {
    if (this.#put.hasOldChecksums) return { ContentMD5: md5Of(bytes) };
    this.#crc32 = crc32(bytes, this.#crc32);
    return { ChecksumCRC32: crc32Text(crc32(bytes)) };
  }

  /** What the server verifies of the whole object, where it has said that it does. */
  #wholeChecksum(): { ChecksumType?: 'FULL_OBJECT'; ChecksumCRC32?: string; MpuObjectSize?: number } {
    if (this.#created.ChecksumType !== 'FULL_OBJECT') return {};
    return {
      ChecksumType: 'FULL_OBJECT',
      ChecksumCRC32: crc32Text(this.#crc32),
      MpuObjectSize: this.#sizeBytes,
    };
  }

  /** Some servers say how they encrypt when the upload begins, and not again. */
  async #withEncryption(completed: Promise<PutAnswer>): Promise<PutAnswer> {
    const answer = await completed;
    const { ServerSideEncryption, SSEKMSKeyId, SSECustomerAlgorithm, SSECustomerKeyMD5 } = this.#created;
    const { BucketKeyEnabled, SSEKMSEncryptionContext } = this.#created;
    const kms = { SSEKMSKeyId, BucketKeyEnabled, SSEKMSEncryptionContext };
    return { ServerSideEncryption, ...kms, SSECustomerAlgorithm, SSECustomerKeyMD5, ...answer };
  }

  async abort(): Promise<void> {
    const { client } = this.#put.calls.target;
    const request = async () => await client.send(new AbortMultipartUploadCommand(this.#upload));
    await this.#put.calls.run(`abort the upload of ${this.#put.calls.describe(this.#put.key)}`, request);
  }

  get #upload(): { Bucket: string; Key: string; UploadId: string } {
    return { ...this.#put.address, UploadId: this.#created.UploadId };
  }
}

type Created = CreateMultipartUploadCommandOutput & { readonly UploadId: string };

function crc32Text(value: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes.toString('base64');
}

/** What a call gets whose first attempt succeeded and only the answer was lost, or that had no answer at all. */
function mayBeOwnSuccess(error: unknown): boolean {
  return isConflict(error) || s3ErrorName(error) === 'NoSuchUpload' || isTransientS3Error(error);
}

function isConflict(error: unknown): boolean {
  return error instanceof BackupError && error.kind === 'conflict';
}

function foreignIfUnderOtherKey(error: unknown): 'foreign' {
  if (isUnderOtherKey(error)) return 'foreign';
  throw error;
}
