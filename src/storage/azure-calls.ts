import type { BlobGetPropertiesResponse, BlockBlobClient, ContainerClient, CpkInfo } from '@azure/storage-blob';
import { BackupError } from '../core/backup-error.ts';
import { azureErrorCode, azureRetryAfterMs, isTransientAzureError, toAzureError } from './azure-errors.ts';
import { withRetries, type RetryOptions, type RetryPolicy } from './retry.ts';
import type { StoreTimings } from './store-settings.ts';

export interface AzureTarget {
  readonly container: ContainerClient;
  readonly prefix: string;
  /** The address as the user gave it. */
  readonly url: string;
  readonly timings: StoreTimings;
  /** The customer's key, which goes with every request that reads or writes content or properties. */
  readonly cpk: CpkInfo | undefined;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** How patiently the call is repeated; `timings.retry` by default. */
  readonly policy?: RetryPolicy;
}

/** How all requests of one store are made: repeated after transient faults, and their errors translated once. */
export class AzureCalls {
  readonly target: AzureTarget;

  constructor(target: AzureTarget) {
    this.target = target;
  }

  /** The name in the container of an object of this store. */
  blobName(key: string): string {
    return this.target.prefix === '' ? key : `${this.target.prefix}/${key}`;
  }

  blob(key: string): BlockBlobClient {
    return this.target.container.getBlockBlobClient(this.blobName(key));
  }

  describe(key: string): string {
    return `"${key}" in "${this.target.url}"`;
  }

  /** Options of a request that ends when the signal aborts, with the customer's key where there is one. */
  reading(signal: AbortSignal | undefined): { abortSignal?: AbortSignal; customerProvidedKey?: CpkInfo } {
    const { cpk } = this.target;
    return { ...abortedBy(signal), ...(cpk !== undefined && { customerProvidedKey: { ...cpk } }) };
  }

  /** Runs `request` until it succeeds or fails for good; `action` is for the message. */
  async run<T>(action: string, request: () => Promise<T>, options: CallOptions = {}): Promise<T> {
    const { signal, policy = this.target.timings.retry } = options;
    try {
      return await withRetries(request, { ...this.retry(policy), signal });
    } catch (error) {
      signal?.throwIfAborted();
      throw toAzureError(error, action);
    }
  }

  retry(policy: RetryPolicy): Omit<RetryOptions, 'signal'> {
    return { policy, isTransient: isTransientAzureError, retryAfterMs: azureRetryAfterMs };
  }

  /** The object's properties, or `null` when there is none. A container that does not exist is `notFound`. */
  async head(key: string, signal?: AbortSignal): Promise<BlobGetPropertiesResponse | null> {
    const request = async (): Promise<BlobGetPropertiesResponse | null> => {
      try {
        const found = await this.blob(key).getProperties(this.reading(signal));
        if (found.blobType !== undefined) return found;
        throw new BackupError('config', `cannot look at ${this.describe(key)}: the endpoint is no blob service`, {
          hint: 'Correct the endpoint.',
        });
      } catch (error) {
        if (azureErrorCode(error) === 'BlobNotFound') return null;
        throw error;
      }
    };
    return await this.run(`look at ${this.describe(key)}`, request, { signal });
  }
}

/** The SDK's options for a request that ends when the signal aborts. */
export function abortedBy(signal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  return signal === undefined ? {} : { abortSignal: signal };
}

/** `hidden` in place of a failure that means only that these credentials may not look. */
export function hiddenIfDenied(error: unknown): 'hidden' {
  if (error instanceof BackupError && error.kind === 'access') return 'hidden';
  throw error;
}
