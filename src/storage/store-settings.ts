import type { RetryPolicy } from './retry.ts';

export interface S3Settings {
  /** Otherwise from AWS_REGION or the profile; with a custom endpoint, finally `us-east-1`. */
  readonly region?: string;
  /** `https://host[:port]` of an S3-compatible server. */
  readonly endpoint?: string;
  /** `endpoint/bucket` instead of `bucket.endpoint`; by default with a custom endpoint only. */
  readonly forcePathStyle?: boolean;
  /** `when-required` for servers that know only the checksums of before 2025; `auto` by default. */
  readonly checksumMode?: 'auto' | 'when-required';
  /** PEM file of certificate authorities to trust beside the usual ones. */
  readonly caFile?: string;
}

/** All settings of a store that are not its address. */
export interface StoreSettings {
  readonly s3?: S3Settings;
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
  patientRetry: { attempts: 10, firstDelayMs: 250, maxDelayMs: 10_000 },
};

export const defaultUploadMemoryBytes = 128 * 1024 * 1024;

/** What an opener gets beside the parsed address. */
export interface OpenContext {
  /** The address as the user gave it. */
  readonly text: string;
  readonly settings: StoreSettings;
  readonly deps: StoreDeps;
}
