import { GetObjectCommand, type GetObjectCommandOutput } from '@aws-sdk/client-s3';
import { BackupError } from '../core/backup-error.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import type { ByteRange } from './byte-range.ts';
import type { RangeAnswer, RangeSource } from './ranged-read.ts';
import type { S3Calls } from './s3-calls.ts';
import { s3ErrorStatus, toS3Error } from './s3-errors.ts';

/** The ranges of one object: of `version` (`StoredObject.version`), or of what is there when the first is read. */
export class S3Ranges implements RangeSource {
  readonly #calls: S3Calls;
  readonly #key: string;
  readonly #version: string | undefined;

  constructor(calls: S3Calls, key: string, version: string | undefined) {
    this.#calls = calls;
    this.#key = key;
    this.#version = version;
  }

  async open(range: ByteRange, pin: string | undefined, signal: AbortSignal): Promise<RangeAnswer | null> {
    const { client, bucket } = this.#calls.target;
    const name = this.#calls.describe(this.#key);
    const input = {
      Bucket: bucket,
      Key: this.#calls.fullKey(this.#key),
      Range: `bytes=${range.start}-${range.end - 1}`,
      ...contentCondition(this.#version, pin),
    };
    try {
      const answer = await this.#calls.withCustomerKey(
        async (key) => await client.send(new GetObjectCommand({ ...input, ...key }), { abortSignal: signal }),
      );
      return toRangeAnswer(answer, range, name);
    } catch (error) {
      const status = s3ErrorStatus(error);
      if (status === 416) return null;
      if (status === 412) {
        throw new BackupError('integrity', `${name} has changed since it was looked up`, { cause: error });
      }
      throw toS3Error(error, `read ${name}`);
    }
  }
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
