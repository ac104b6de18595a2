import {
  AbortMultipartUploadCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  type ListMultipartUploadsCommandOutput,
  type ListPartsCommandOutput,
  type MultipartUpload,
} from '@aws-sdk/client-s3';
import { isObjectKey } from './object-key.ts';
import type { UnfinishedUpload } from './object-store.ts';
import type { S3Calls } from './s3-calls.ts';
import { abortedBy } from './store-calls.ts';
import { s3ErrorName } from './s3-errors.ts';

interface Options {
  readonly signal?: AbortSignal;
}

/** The multipart uploads that have been begun and neither completed nor aborted. */
export async function* listUnfinishedUploads(
  calls: S3Calls,
  prefix: string,
  options: Options,
): AsyncGenerator<UnfinishedUpload> {
  const { client, bucket, url } = calls.target;
  const input = { Bucket: bucket, Prefix: calls.fullKey(prefix) };
  let next: { KeyMarker?: string; UploadIdMarker?: string } | undefined = {};
  while (next !== undefined) {
    const command = new ListMultipartUploadsCommand({ ...input, ...next });
    const page: ListMultipartUploadsCommandOutput = await calls.run(
      `list the unfinished uploads of "${url}"`,
      async () => await client.send(command, abortedBy(options.signal)),
      options,
    );
    for (const upload of page.Uploads ?? []) {
      const unfinished = await describe(calls, upload, options);
      if (unfinished !== null) yield unfinished;
    }
    next = markersOf(page);
  }
}

function markersOf(
  page: ListMultipartUploadsCommandOutput,
): { KeyMarker?: string; UploadIdMarker?: string } | undefined {
  if (page.IsTruncated !== true || page.NextKeyMarker === undefined) return undefined;
  return {
    KeyMarker: page.NextKeyMarker,
    ...(page.NextUploadIdMarker !== undefined && { UploadIdMarker: page.NextUploadIdMarker }),
  };
}

/** `null`: not one of this store's keys, or gone meanwhile. */
async function describe(calls: S3Calls, upload: MultipartUpload, options: Options): Promise<UnfinishedUpload | null> {
  const key = (upload.Key ?? '').slice(calls.fullKey('').length);
  if (!isObjectKey(key) || upload.UploadId === undefined) return null;
  const lastActiveAt = await findLastActivity(calls, { key, id: upload.UploadId, begunAt: upload.Initiated }, options);
  return lastActiveAt === null ? null : { key, id: upload.UploadId, lastActiveAt };
}

interface Begun {
  readonly key: string;
  readonly id: string;
  readonly begunAt: Date | undefined;
}

/** `null`: gone meanwhile. */
async function findLastActivity(calls: S3Calls, { key, id, begunAt }: Begun, options: Options): Promise<Date | null> {
  const { client, bucket } = calls.target;
  const input = { Bucket: bucket, Key: calls.fullKey(key), UploadId: id };
  let latest = begunAt?.getTime() ?? 0;
  let marker: string | undefined;
  do {
    const command = new ListPartsCommand({ ...input, ...(marker !== undefined && { PartNumberMarker: marker }) });
    const request = async (): Promise<ListPartsCommandOutput | null> => {
      try {
        return await client.send(command, abortedBy(options.signal));
      } catch (error) {
        if (s3ErrorName(error) === 'NoSuchUpload') return null;
        throw error;
      }
    };
    const page = await calls.run(`look at the unfinished upload of ${calls.describe(key)}`, request, options);
    if (page === null) return null;
    for (const { LastModified } of page.Parts ?? []) latest = Math.max(latest, LastModified?.getTime() ?? 0);
    // The SDK's own paginator goes by the marker, which some servers (Ceph) give for the last page too: it never ends.
    marker = page.IsTruncated === true ? page.NextPartNumberMarker : undefined;
  } while (marker !== undefined);
  return new Date(latest);
}

/** Aborts these uploads. Parts that are on their way at the same time may outlive that; another abort removes them. */
export async function abortUploads(
  calls: S3Calls,
  uploads: readonly UnfinishedUpload[],
  options: Options,
): Promise<void> {
  const { client, bucket } = calls.target;
  for (const { key, id } of uploads) {
    const command = new AbortMultipartUploadCommand({ Bucket: bucket, Key: calls.fullKey(key), UploadId: id });
    const request = async (): Promise<void> => {
      try {
        await client.send(command, abortedBy(options.signal));
      } catch (error) {
        if (s3ErrorName(error) !== 'NoSuchUpload') throw error;
      }
    };
    await calls.run(`discard the unfinished upload of ${calls.describe(key)}`, request, options);
  }
}
