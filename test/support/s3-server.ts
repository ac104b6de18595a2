import { randomUUID } from 'node:crypto';
import {
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  UploadPartCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { Secret } from '../../src/core/secret.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { openStore } from '../../src/storage/open-store.ts';
import { createS3Client } from '../../src/storage/s3-client.ts';
import {
  defaultTimings,
  type S3EncryptionRequest,
  type S3Settings,
  type StoreDeps,
  type StoreSettings,
} from '../../src/storage/store-settings.ts';

export const bucket = 'librelog-test';

/** The one key that the KMS of every test server knows. */
export const kmsKey = 'testkey-1';

/** What the test servers can do; where they differ from Amazon, the tests say what becomes of it. */
interface ServerTraits {
  /** The server-side encryptions that it really applies. */
  readonly encryptions: readonly S3EncryptionRequest['method'][];
  /** It takes the header of SSE-S3 and stores the object as it comes. */
  readonly ignoresSseS3: boolean;
  /** It says whether a bucket has default encryption. */
  readonly knowsDefaultEncryption: boolean;
  /** It verifies checksums of parts and of the whole object. */
  readonly knowsChecksums: boolean;
  readonly checksRegion: boolean;
  /** It lists unfinished uploads by the beginning of their keys; MinIO wants the whole key, and clears them by itself. */
  readonly listsUploads: boolean;
}

const traitsByServer = {
  'ceph-rgw': {
    encryptions: ['sse-kms', 'sse-c'],
    ignoresSseS3: true,
    knowsDefaultEncryption: false,
    knowsChecksums: false,
    checksRegion: false,
    listsUploads: true,
  },
  minio: {
    encryptions: ['sse-s3', 'sse-kms', 'sse-c'],
    ignoresSseS3: false,
    knowsDefaultEncryption: true,
    knowsChecksums: true,
    checksRegion: true,
    listsUploads: false,
  },
} as const satisfies Record<string, ServerTraits>;

/** Which real server these tests run against, as its script says: `test/servers/ceph-rgw.sh` or `minio.sh`. */
export function s3ServerName(): keyof typeof traitsByServer {
  const name = process.env['LIBRELOG_TEST_S3_SERVER'];
  if (name === 'ceph-rgw' || name === 'minio') return name;
  throw new Error('LIBRELOG_TEST_S3_SERVER is not set: start a server first (test/servers/ceph-rgw.sh or minio.sh)');
}

export function s3Traits(): ServerTraits {
  return traitsByServer[s3ServerName()];
}

/** The real S3 server that these tests must have: they fail without it. Start one with `test/servers/ceph-rgw.sh`. */
export function s3Endpoint(): string {
  for (const name of ['LIBRELOG_TEST_S3_ENDPOINT', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']) {
    if (!process.env[name]) throw new Error(`${name} is not set: start an S3 server first (test/servers/ceph-rgw.sh)`);
  }
  return String(process.env['LIBRELOG_TEST_S3_ENDPOINT']);
}

/** How the command line reaches the server. */
export function s3Surroundings(): Record<string, string> {
  return {
    LIBRELOG_BACKUP_S3_ENDPOINT: s3Endpoint(),
    LIBRELOG_BACKUP_S3_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: process.env['AWS_ACCESS_KEY_ID'] ?? '',
    AWS_SECRET_ACCESS_KEY: process.env['AWS_SECRET_ACCESS_KEY'] ?? '',
  };
}

/** The server where customers' keys may be sent: MinIO wants TLS for them, Ceph is told not to. */
export function secureServer(): S3Settings {
  const endpoint = process.env['LIBRELOG_TEST_S3_TLS_ENDPOINT'];
  const caFile = process.env['LIBRELOG_TEST_S3_CA_FILE'];
  if (endpoint === undefined || caFile === undefined) return { endpoint: s3Endpoint(), region: 'us-east-1' };
  return { endpoint, caFile, region: 'us-east-1' };
}

/** A request for server-side encryption, and the server to send it to. */
export function withEncryption(method: S3EncryptionRequest['method'], keyByte = 7): S3Settings {
  switch (method) {
    case 'sse-kms':
    case 'dsse-kms':
      return { encryption: { method, keyId: kmsKey } };
    case 'sse-s3':
      return { encryption: { method } };
    case 'sse-c':
      return { ...secureServer(), encryption: { method, key: new Secret(Buffer.alloc(32, keyByte)) } };
  }
}

/** A client that talks to the server directly, to prepare it and to look behind the store. */
export async function directClient(settings: S3Settings = {}): Promise<S3Client> {
  return await createS3Client({ endpoint: s3Endpoint(), region: 'us-east-1', ...settings }, defaultTimings, {});
}

export async function makeBucket(name = bucket, settings: S3Settings = {}): Promise<void> {
  const client = await directClient(settings);
  try {
    await client.send(new CreateBucketCommand({ Bucket: name }));
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
export async function unfinishedUploads(store: ObjectStore, settings: S3Settings = {}): Promise<string[]> {
  const client = await directClient(settings);
  try {
    const { bucket, prefix } = placeOf(store);
    const { Uploads } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: prefix }));
    return (Uploads ?? []).map((upload) => upload.Key ?? '');
  } finally {
    client.destroy();
  }
}

/** Where a store keeps its objects. */
export function placeOf(store: ObjectStore): { bucket: string; prefix: string } {
  const [, bucket = '', prefix = ''] = /^s3:\/\/([^/]+)\/?(.*)$/.exec(store.url) ?? [];
  return { bucket, prefix };
}

/** An upload of `key` with one part, and nobody to end it. */
export async function abandonUpload(store: ObjectStore, key: string, server: S3Settings = {}): Promise<void> {
  const client = await directClient(server);
  try {
    const { bucket, prefix } = placeOf(store);
    const address = { Bucket: bucket, Key: `${prefix}/${key}` };
    const { UploadId } = await client.send(new CreateMultipartUploadCommand(address));
    await client.send(new UploadPartCommand({ ...address, UploadId, PartNumber: 1, Body: Buffer.alloc(1000) }));
  } finally {
    client.destroy();
  }
}
