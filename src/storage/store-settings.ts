import type { LockRequest } from '../core/object-lock.ts';
import type { Secret } from '../core/secret.ts';
import type { RetryPolicy } from '../core/retry.ts';

/** Server-side encryption to ask S3 for; without it the bucket's default applies. */
export type S3EncryptionRequest =
  | { readonly method: 'sse-s3' }
  | {
      readonly method: 'sse-kms';
      /** Key id, ARN or alias; the account's own key for S3 by default. */
      readonly keyId?: string | undefined;
      /** Encryption context, which the KMS logs and demands again. */
      readonly context?: Readonly<Record<string, string>> | undefined;
      readonly bucketKey?: boolean | undefined;
    }
  | {
      readonly method: 'dsse-kms';
      readonly keyId?: string | undefined;
      readonly context?: Readonly<Record<string, string>> | undefined;
    }
  /** 32 bytes; needed for every read and look, too. */
  | { readonly method: 'sse-c'; readonly key: Secret };

export interface S3Settings {
  /** Otherwise from AWS_REGION or the profile; with a custom endpoint, finally `us-east-1`. */
  readonly region?: string;
  /** `https://host[:port]` of an S3-compatible server. */
  readonly endpoint?: string;
  /** `endpoint/bucket` instead of `bucket.endpoint`; by default with a custom endpoint only. */
  readonly forcePathStyle?: boolean;
  /** `when-required` for servers that know only the checksums of before 2025; `auto` by default. */
  readonly checksumMode?: 'auto' | 'when-required';
  /** PEM file of certificate authorities to trust beside the usual ones; otherwise that of AWS_CA_BUNDLE. */
  readonly caFile?: string;
  readonly encryption?: S3EncryptionRequest;
  /** `STANDARD_IA`, `GLACIER_IR`, …, for objects; manifests keep the bucket's default, so that they can always be read. */
  readonly storageClass?: string;
  /** Parts that one upload may have: 10,000, or 1,000 with some vendors. */
  readonly maxParts?: number;
}

export interface AzureSettings {
  /** Another address of the blob service than `https://ACCOUNT.blob.core.windows.net`. */
  readonly endpoint?: string;
  readonly encryption?:
    | { readonly method: 'azure-scope'; readonly scope: string }
    /** 32 bytes; needed for every read and look, too. */
    | { readonly method: 'azure-cpk'; readonly key: Secret };
  /** `Hot`, `Cool`, `Cold` or `Archive`, for objects; manifests keep the account's default. */
  readonly tier?: string;
  readonly caFile?: string;
}

export interface GcsSettings {
  /** Another address of the service than `https://storage.googleapis.com`. */
  readonly endpoint?: string;
  readonly encryption?:
    /** `projects/P/locations/L/keyRings/R/cryptoKeys/K`. */
    | { readonly method: 'gcs-cmek'; readonly keyName: string }
    /** 32 bytes; needed for every read and look, too. */
    | { readonly method: 'gcs-csek'; readonly key: Secret };
  /** `NEARLINE`, `COLDLINE`, `ARCHIVE`, …, for objects; manifests keep the bucket's default. */
  readonly storageClass?: string;
  readonly caFile?: string;
}

/** All settings of a store that are not its address. */
export interface StoreSettings {
  readonly s3?: S3Settings;
  readonly azure?: AzureSettings;
  readonly gcs?: GcsSettings;
  /** Lock to put on every object, the manifest included. */
  readonly lock?: LockRequest;
  /** Tags (S3, Azure) or metadata (Google) of every object: facts that may be seen by anybody who sees the bucket. */
  readonly tags?: Readonly<Record<string, string>>;
  /** Refuse to keep an object of which the store does not say that it is encrypted. */
  readonly requireEncryption?: boolean;
  /** Bytes per second that one upload may take; no limit by default. */
  readonly uploadBytesPerSecond?: number;
  /** Bytes of one upload that may be in memory (`uploadInParts`); 128 MiB by default. */
  readonly uploadMemoryBytes?: number;
}

/** Waits that tests shorten. */
export interface StoreTimings {
  readonly connectTimeoutMs: number;
  /** Longest silence on a connection while a request is under way. */
  readonly idleTimeoutMs: number;
  /** For what a person may be waiting for: head, list, delete, the first request. */
  readonly retry: RetryPolicy;
  /** For what would lose hours of work: parts, ranges, the commit. */
  readonly patientRetry: RetryPolicy;
}

export interface StoreDeps {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly timings?: Partial<StoreTimings>;
}

export const defaultTimings: StoreTimings = {
  connectTimeoutMs: 10_000,
  idleTimeoutMs: 60_000,
  retry: { attempts: 5, firstDelayMs: 250, maxDelayMs: 4_000 },
  patientRetry: { attempts: 5, firstDelayMs: 250, maxDelayMs: 10_000, lastsMs: 5 * 60_000 },
};

export const defaultUploadMemoryBytes = 128 * 1024 * 1024;

/** What an opener gets beside the parsed address. */
export interface OpenContext {
  /** The address as the user gave it. */
  readonly text: string;
  readonly settings: StoreSettings;
  readonly deps: StoreDeps;
}
