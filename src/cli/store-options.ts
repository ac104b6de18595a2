import { listOption, option, parseCount } from './options.ts';

/** Where a store is, and what every use of it needs. */
export const storeOptions = [
  listOption('--store <url>', 'where backups are: s3://, az://, gs:// or file:/// address'),
  option('--s3-region <name>', 'region of the bucket'),
  option('--s3-endpoint <url>', 'another S3-compatible service'),
  option('--s3-path-style', 'bucket in the path instead of the host name'),
  option('--checksum-mode <mode>', 'checksums that the SDK adds').choices(['auto', 'when-required']).default('auto'),
  option('--sse-c-key <ref>', "S3: the customer's own key for server-side encryption, here and at every read"),
  option('--azure-endpoint <url>', 'another address of the blob service'),
  option('--azure-customer-key <ref>', 'Azure: customer-provided key, here and at every read'),
  option('--gcs-endpoint <url>', 'another address of Google Cloud Storage'),
  option('--gcs-customer-key <ref>', 'Google: customer-supplied encryption key, here and at every read'),
  option('--ca-file <file>', 'certificates of private authorities, PEM'),
];

export interface StoreOptions {
  readonly store?: readonly string[];
  readonly s3Region?: string;
  readonly s3Endpoint?: string;
  readonly s3PathStyle?: boolean;
  readonly checksumMode: 'auto' | 'when-required';
  readonly sseCKey?: string;
  readonly azureEndpoint?: string;
  readonly azureCustomerKey?: string;
  readonly gcsEndpoint?: string;
  readonly gcsCustomerKey?: string;
  readonly caFile?: string;
}

/** How objects are stored. */
export const uploadOptions = [
  option('--upload-memory <MiB>', 'memory for parts in flight').argParser(parseCount).default(128),
  option('--upload-rate <MiB>', 'MiB per second that each store may take').argParser(parseCount),
  option('--sse <method>', 'S3: server-side encryption to ask for').choices(['sse-s3', 'sse-kms', 'dsse-kms', 'sse-c']),
  option('--sse-kms-key <id>', "S3: id, ARN or alias of the KMS key; the account's own by default"),
  listOption('--sse-kms-context <name=value>', 'S3: encryption context for the KMS'),
  option('--sse-bucket-key', 'S3: spare KMS requests with a bucket key'),
  option('--azure-encryption-scope <name>', 'Azure: encryption scope'),
  option('--gcs-kms-key <name>', 'Google: Cloud KMS key, projects/…/cryptoKeys/…'),
  option('--require-sse', 'refuse a store that does not say that it keeps objects encrypted'),
  option('--lock <mode>', 'keep objects from being deleted').choices(['governance', 'compliance']),
  option('--lock-for <time>', 'for how long: 30d'),
  option('--legal-hold', 'keep objects until somebody lifts the hold'),
  option('--s3-storage-class <name>', 'S3: class of the objects, e.g. STANDARD_IA'),
  option('--s3-max-parts <n>', 'S3: parts that an upload may have; some services allow 1,000').argParser(parseCount),
  option('--azure-tier <name>', 'Azure: access tier of the objects, e.g. Cool'),
  option('--gcs-storage-class <name>', 'Google: class of the objects, e.g. NEARLINE'),
  listOption('--tag <name=value>', 'tag of every object; no secrets'),
];

export interface UploadOptions {
  /** MiB. */
  readonly uploadMemory: number;
  /** MiB per second. */
  readonly uploadRate?: number;
  readonly sse?: 'sse-s3' | 'sse-kms' | 'dsse-kms' | 'sse-c';
  readonly sseKmsKey?: string;
  readonly sseKmsContext?: readonly string[];
  readonly sseBucketKey?: boolean;
  readonly azureEncryptionScope?: string;
  readonly gcsKmsKey?: string;
  readonly requireSse?: boolean;
  readonly lock?: 'governance' | 'compliance';
  readonly lockFor?: string;
  readonly legalHold?: boolean;
  readonly s3StorageClass?: string;
  readonly s3MaxParts?: number;
  readonly azureTier?: string;
  readonly gcsStorageClass?: string;
  readonly tag?: readonly string[];
}
