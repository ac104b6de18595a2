import type { BlobGetPropertiesResponse, BlockBlobClient, ContainerClient, CpkInfo } from '@azure/storage-blob';
import { BackupError } from '../core/backup-error.ts';
import { azureErrorCode, azureRetryAfterMs, isTransientAzureError, toAzureError } from './azure-errors.ts';
import { abortedBy, StoreCalls, type ErrorReading, type StoreTarget } from './store-calls.ts';

export interface AzureTarget extends StoreTarget {
  readonly container: ContainerClient;
  /** The customer's key, which goes with every request that reads or writes content or properties. */
  readonly cpk: CpkInfo | undefined;
}

const errors: ErrorReading = {
  isTransient: isTransientAzureError,
  retryAfterMs: azureRetryAfterMs,
  translate: toAzureError,
};

export class AzureCalls extends StoreCalls<AzureTarget> {
  constructor(target: AzureTarget) {
    super(target, errors);
  }

  blob(key: string): BlockBlobClient {
    return this.target.container.getBlockBlobClient(this.fullKey(key));
  }

  /** Options of a request that ends when the signal aborts, with the customer's key where there is one. */
  reading(signal: AbortSignal | undefined): { abortSignal?: AbortSignal; customerProvidedKey?: CpkInfo } {
    const { cpk } = this.target;
    return { ...abortedBy(signal), ...(cpk !== undefined && { customerProvidedKey: { ...cpk } }) };
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
