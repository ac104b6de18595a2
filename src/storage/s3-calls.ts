import {
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  type S3Client,
} from '@aws-sdk/client-s3';
import { BackupError } from '../core/backup-error.ts';
import type { StoredObject } from './object-store.ts';
import { customerKeyInput, encryptionOf, type CustomerKeyInput } from './s3-encryption.ts';
import {
  isRefusedKey,
  isTransientS3Error,
  s3ErrorStatus,
  s3RetryAfterMs,
  toS3Error,
  wrongCustomerKey,
} from './s3-errors.ts';
import { lockOf } from './s3-lock.ts';
import { abortedBy, StoreCalls, type ErrorReading, type StoreTarget } from './store-calls.ts';
import type { StoreSettings } from './store-settings.ts';

export interface S3Target extends StoreTarget {
  readonly client: S3Client;
  readonly bucket: string;
  readonly settings: StoreSettings;
}

export interface HeadOptions {
  readonly signal?: AbortSignal | undefined;
  /** One version of the object instead of the newest. */
  readonly versionId?: string | undefined;
}

const errors: ErrorReading = {
  isTransient: isTransientS3Error,
  retryAfterMs: s3RetryAfterMs,
  translate: toS3Error,
};

export class S3Calls extends StoreCalls<S3Target> {
  #isBucketSeen = false;

  constructor(target: S3Target) {
    super(target, errors);
  }

  /** The customer's key (SSE-C), for the requests that write an object. */
  get customerKey(): CustomerKeyInput {
    return customerKeyInput(this.target.settings.s3?.encryption);
  }

  /**
   * Sends a request that reads, with the customer's key (SSE-C) if there is one - and without it when the server does not
   * want it: a store holds older objects, too, which were stored before there was a key. A server that wants the key all
   * the same does not want this one.
   */
  async withCustomerKey<T>(send: (key: CustomerKeyInput) => Promise<T>): Promise<T> {
    const key = this.customerKey;
    try {
      return await send(key);
    } catch (error) {
      if (key.SSECustomerKey === undefined || ![400, 403].includes(s3ErrorStatus(error) ?? 0)) throw error;
      return await send({}).catch((second: unknown) => {
        throw isRefusedKey(second) ? wrongCustomerKey(error) : error;
      });
    }
  }

  /** The object's metadata, or `null` when there is none. A bucket that does not exist is `notFound`. */
  async head(key: string, options: HeadOptions = {}): Promise<HeadObjectCommandOutput | null> {
    const { signal, versionId } = options;
    const input = {
      Bucket: this.target.bucket,
      Key: this.fullKey(key),
      ...(versionId !== undefined && { VersionId: versionId }),
    };
    const request = async (): Promise<HeadObjectCommandOutput | null> => {
      try {
        return await this.withCustomerKey(async (key) => await this.#sendHead({ ...input, ...key }, signal));
      } catch (error) {
        if (s3ErrorStatus(error) === 404) return null;
        throw error;
      }
    };
    const found = await this.run(`look at ${this.describe(key)}`, request, { signal });
    if (found === null) await this.assertBucket(signal);
    this.#isBucketSeen = true;
    return found;
  }

  /** An answer to HEAD has no body, so that a 400 can mean anything; the first byte asked for by GET says what. */
  async #sendHead(input: HeadInput, signal: AbortSignal | undefined): Promise<HeadObjectCommandOutput> {
    const { client } = this.target;
    try {
      return await client.send(new HeadObjectCommand(input), abortedBy(signal));
    } catch (error) {
      if (s3ErrorStatus(error) !== 400) throw error;
      const answer = await client.send(new GetObjectCommand({ ...input, Range: 'bytes=0-0' }), abortedBy(signal));
      await answer.Body?.transformToByteArray();
      throw error;
    }
  }

  /** A missing object and a missing bucket look the same to HEAD: 404 without a body. Asks for the bucket once. */
  async assertBucket(signal?: AbortSignal): Promise<void> {
    if (this.#isBucketSeen) return;
    const { client, bucket, url } = this.target;
    const request = async (): Promise<boolean> => {
      try {
        await client.send(new HeadBucketCommand({ Bucket: bucket }), abortedBy(signal));
      } catch (error) {
        if (s3ErrorStatus(error) === 404) return false;
        // Credentials for objects alone may not look at the bucket; then nothing more can be known.
        if (s3ErrorStatus(error) !== 403) throw error;
      }
      return true;
    };
    if (await this.run(`look at "${url}"`, request, { signal })) return;
    throw new BackupError('notFound', `cannot look at "${url}": the bucket does not exist`, {
      hint: 'Create the bucket, or correct the address, region or endpoint.',
    });
  }
}

interface HeadInput extends CustomerKeyInput {
  Bucket: string;
  Key: string;
  VersionId?: string;
}

/** What a HEAD answer says of an object. */
export function describeHead(key: string, head: HeadObjectCommandOutput): StoredObject {
  const version = versionOf(head);
  const serverEncryption = encryptionOf(head);
  const lock = lockOf(head);
  return {
    key,
    sizeBytes: head.ContentLength ?? 0,
    modifiedAt: head.LastModified ?? new Date(0),
    ...(version !== undefined && { version }),
    ...(serverEncryption !== undefined && { serverEncryption }),
    ...(lock !== undefined && { lock }),
  };
}

/** The version id where the bucket keeps versions, otherwise the ETag, in its quotes, which tell them apart. */
export function versionOf(answer: {
  readonly VersionId?: string | undefined;
  readonly ETag?: string | undefined;
}): string | undefined {
  // "null" is the one version of a bucket whose versioning was suspended: its content changes.
  if (answer.VersionId !== undefined && answer.VersionId !== 'null') return answer.VersionId;
  return answer.ETag === '' ? undefined : answer.ETag;
}
