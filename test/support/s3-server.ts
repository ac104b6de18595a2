import { randomUUID } from 'node:crypto';
import {
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { openStore } from '../../src/storage/open-store.ts';
import type { StoreDeps, StoreSettings } from '../../src/storage/store-settings.ts';

export const bucket = 'librelog-test';

/** The real S3 server that these tests must have: they fail without it. Start one with `test/servers/ceph-rgw.sh`. */
export function s3Endpoint(): string {
  for (const name of ['LIBRELOG_TEST_S3_ENDPOINT', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']) {
    if (!process.env[name]) throw new Error(`${name} is not set: start an S3 server first (test/servers/ceph-rgw.sh)`);
  }
  return String(process.env['LIBRELOG_TEST_S3_ENDPOINT']);
}

/** A client that talks to the server directly, to prepare it and to look behind the store. */
export function directClient(): S3Client {
  return new S3Client({ endpoint: s3Endpoint(), region: 'us-east-1', forcePathStyle: true });
}

export async function makeBucket(): Promise<void> {
  const client = directClient();
  try {
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
  } catch (error) {
    if (!(error instanceof Error) || !error.name.startsWith('BucketAlready')) throw error;
  } finally {
    client.destroy();
  }
}

/** A store under a prefix of its own, with short waits. */
export async function openTestStore(settings: StoreSettings = {}, deps: StoreDeps = {}): Promise<ObjectStore> {
  return await openStore(`s3://${bucket}/${randomUUID()}`, withServer(settings), deps);
}

export function withServer(settings: StoreSettings): StoreSettings {
  return { ...settings, s3: { endpoint: s3Endpoint(), region: 'us-east-1', ...settings.s3 } };
}

/** Keys of unfinished uploads below a store's prefix. */
export async function unfinishedUploads(store: ObjectStore): Promise<string[]> {
  const client = directClient();
  try {
    const prefix = store.url.slice(`s3://${bucket}/`.length);
    const { Uploads } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: prefix }));
    return (Uploads ?? []).map((upload) => upload.Key ?? '');
  } finally {
    client.destroy();
  }
}

/** An upload of `key` with one part, and nobody to end it. */
export async function abandonUpload(store: ObjectStore, key: string): Promise<void> {
  const client = directClient();
  try {
    const address = { Bucket: bucket, Key: `${store.url.slice(`s3://${bucket}/`.length)}/${key}` };
    const { UploadId } = await client.send(new CreateMultipartUploadCommand(address));
    await client.send(new UploadPartCommand({ ...address, UploadId, PartNumber: 1, Body: Buffer.alloc(1000) }));
  } finally {
    client.destroy();
  }
}
