import { BackupError } from '../core/backup-error.ts';
import type { ServerEncryption } from '../core/server-encryption.ts';
import { assertMd5Allowed, md5Of } from './md5.ts';
import type { S3EncryptionRequest } from './store-settings.ts';

/** The key that the server must be given with every request that reads or writes bytes of the object, or looks at it. */
export interface CustomerKeyInput {
  SSECustomerAlgorithm?: 'AES256';
  /** In base64; the SDK adds the MD5. */
  SSECustomerKey?: string;
}

/** What the requests that begin an object say of its encryption. */
export interface EncryptionInput extends CustomerKeyInput {
  ServerSideEncryption?: 'AES256' | 'aws:kms' | 'aws:kms:dsse';
  SSEKMSKeyId?: string;
  SSEKMSEncryptionContext?: string;
  BucketKeyEnabled?: boolean;
}

/** What the answers to put, complete and head say of it. */
export interface EncryptionAnswer {
  readonly ServerSideEncryption?: string | undefined;
  readonly SSEKMSKeyId?: string | undefined;
  readonly BucketKeyEnabled?: boolean | undefined;
  /** Only from the requests that begin an object; looking at it does not tell. */
  readonly SSEKMSEncryptionContext?: string | undefined;
  readonly SSECustomerAlgorithm?: string | undefined;
  readonly SSECustomerKeyMD5?: string | undefined;
}

const customerKeyBytes = 32;

/**
 * Fails with `key` for a customer's key that is none, and with `config` where it would cross a network in the clear:
 * SSE-C sends the key itself with every request.
 */
export function assertUsableEncryption(request: S3EncryptionRequest | undefined, endpoint: string | undefined): void {
  if (request?.method !== 'sse-c') return;
  assertMd5Allowed();
  if (request.key.sizeBytes !== customerKeyBytes) {
    throw new BackupError('key', `the SSE-C key has ${request.key.sizeBytes} bytes instead of ${customerKeyBytes}`, {
      hint: 'Give --sse-c-key a key of 32 bytes.',
    });
  }
  const url = endpoint === undefined ? null : URL.parse(endpoint);
  if (url?.protocol !== 'http:' || /^(localhost|127\.[0-9.]+|\[::1\])$/.test(url.hostname)) return;
  throw new BackupError('config', 'the SSE-C key would be sent without TLS', {
    hint: 'Give an endpoint that begins with https://.',
  });
}

export function customerKeyInput(request: S3EncryptionRequest | undefined): CustomerKeyInput {
  if (request?.method !== 'sse-c') return {};
  return { SSECustomerAlgorithm: 'AES256', SSECustomerKey: Buffer.from(request.key.reveal()).toString('base64') };
}

export function encryptionInput(request: S3EncryptionRequest | undefined): EncryptionInput {
  switch (request?.method) {
    case undefined:
      return {};
    case 'sse-s3':
      return { ServerSideEncryption: 'AES256' };
    case 'sse-kms':
      return {
        ServerSideEncryption: 'aws:kms',
        ...kmsInput(request),
        ...(request.bucketKey !== undefined && { BucketKeyEnabled: request.bucketKey }),
      };
    case 'dsse-kms':
      return { ServerSideEncryption: 'aws:kms:dsse', ...kmsInput(request) };
    case 'sse-c':
      return customerKeyInput(request);
  }
}

type KmsRequest = Extract<S3EncryptionRequest, { method: 'sse-kms' | 'dsse-kms' }>;

function kmsInput({ keyId, context }: KmsRequest): EncryptionInput {
  return {
    ...(keyId !== undefined && { SSEKMSKeyId: keyId }),
    ...(context !== undefined && {
      SSEKMSEncryptionContext: Buffer.from(JSON.stringify(context)).toString('base64'),
    }),
  };
}

/** How the server says that it keeps the object; nothing where it does not say, or says what nobody knows. */
export function encryptionOf(answer: EncryptionAnswer): ServerEncryption | undefined {
  const { ServerSideEncryption, SSEKMSKeyId, BucketKeyEnabled, SSECustomerAlgorithm, SSECustomerKeyMD5 } = answer;
  const key = SSEKMSKeyId === undefined ? {} : { keyId: SSEKMSKeyId };
  if (SSECustomerAlgorithm === 'AES256' && SSECustomerKeyMD5 !== undefined) {
    return { method: 'sse-c', keyDigest: SSECustomerKeyMD5 };
  }
  switch (ServerSideEncryption ?? '') {
    case 'AES256':
      return { method: 'sse-s3' };
    case 'aws:kms':
      return {
        method: 'sse-kms',
        ...key,
        ...(BucketKeyEnabled !== undefined && { bucketKey: BucketKeyEnabled }),
      };
    case 'aws:kms:dsse':
      return { method: 'dsse-kms', ...key };
    default:
      return undefined;
  }
}

/** Why `applied` is not what was asked for: a phrase such as `asked for sse-s3, but it kept it unencrypted`, or `null`. */
export function encryptionDifference(
  asked: S3EncryptionRequest | undefined,
  applied: ServerEncryption | undefined,
): string | null {
  if (asked === undefined) return null;
  if (isApplied(asked, applied)) return bucketKeyDifference(asked, applied);
  const key = 'keyId' in asked && asked.keyId !== undefined ? ` with key "${asked.keyId}"` : '';
  return `it was asked for ${asked.method}${key}, but ${describeApplied(applied, asked.method)}`;
}

/** A server that says nothing of bucket keys uses none. */
function bucketKeyDifference(asked: S3EncryptionRequest, applied: ServerEncryption | undefined): string | null {
  if (asked.method !== 'sse-kms' || applied?.method !== 'sse-kms' || asked.bucketKey === undefined) return null;
  if (asked.bucketKey === (applied.bucketKey ?? false)) return null;
  return asked.bucketKey
    ? 'it was asked for a bucket key, but does not say that it uses one'
    : 'it was asked for no bucket key, but used one';
}

/**
 * Why the encryption context that the server names, if it names one, is not that asked for: a phrase, or `null`. Amazon
 * adds the object's ARN.
 */
export function contextDifference(asked: S3EncryptionRequest | undefined, answered: string | undefined): string | null {
  const wanted = asked !== undefined && 'context' in asked ? asked.context : undefined;
  const named = parseContext(answered);
  if (wanted === undefined || named === undefined) return null;
  const isSame = Object.entries(wanted).every(([name, value]) => named.get(name) === value);
  return isSame ? null : 'it was asked for an encryption context, but names another encryption context';
}

function parseContext(answered: string | undefined): ReadonlyMap<string, unknown> | undefined {
  try {
    const named: unknown = JSON.parse(Buffer.from(answered ?? '', 'base64').toString());
    return typeof named === 'object' && named !== null ? new Map(Object.entries(named)) : undefined;
  } catch {
    return undefined;
  }
}

function describeApplied(applied: ServerEncryption | undefined, askedMethod: string): string {
  if (applied === undefined) return 'does not say that it encrypts the object';
  if (applied.method === 'sse-c' && askedMethod === 'sse-c') return 'used another key';
  if (!('keyId' in applied)) return `used ${applied.method}`;
  return `used ${applied.method} with key "${applied.keyId}"`;
}

function isApplied(asked: S3EncryptionRequest, applied: ServerEncryption | undefined): boolean {
  if (applied?.method !== asked.method) return false;
  if (asked.method === 'sse-c') {
    return applied.method === 'sse-c' && applied.keyDigest === md5Of(asked.key.reveal());
  }
  const askedKey = 'keyId' in asked ? asked.keyId : undefined;
  if (askedKey === undefined) return true;
  return 'keyId' in applied && applied.keyId !== undefined && isSameKmsKey(askedKey, applied.keyId);
}

/**
 * Whether the server's name of a KMS key can be that of the key asked for. Amazon answers with the key's ARN whatever
 * form it was given, MinIO puts `arn:aws:kms:` before its plain names, Ceph repeats the name. Which key an alias stands
 * for, only the KMS knows: any key of the alias's account and region will do.
 */
export function isSameKmsKey(asked: string, answered: string): boolean {
  const [a, b] = [parseKmsKey(asked), parseKmsKey(answered)];
  const isSamePlace = a.place === undefined || b.place === undefined || a.place === b.place;
  if (a.isAlias && !b.isAlias && b.place !== undefined) return isSamePlace;
  return isSamePlace && a.isAlias === b.isAlias && a.name === b.name;
}

interface KmsKey {
  /** `PARTITION:kms:REGION:ACCOUNT`, where the name tells. */
  readonly place?: string;
  readonly name: string;
  readonly isAlias: boolean;
}

function parseKmsKey(id: string): KmsKey {
  const [, place, resource = id] = /^arn:([^:]+:kms:[^:]*:[^:]*):(.+)$/.exec(id) ?? [];
  const [, minioName] = /^arn:aws:kms:([^:]+)$/.exec(id) ?? [];
  const [, type = 'key', name = ''] = /^(?:(key|alias)\/)?(.+)$/s.exec(minioName ?? resource) ?? [];
  return { name, isAlias: type === 'alias', ...(place !== undefined && { place }) };
}
