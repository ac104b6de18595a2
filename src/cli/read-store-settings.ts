import { BackupError } from '../core/backup-error.ts';
import { parseDuration } from '../core/duration.ts';
import type { LockRequest } from '../core/object-lock.ts';
import type { Secret } from '../core/secret.ts';
import type {
  AzureSettings,
  GcsSettings,
  S3EncryptionRequest,
  S3Settings,
  StoreSettings,
} from '../storage/store-settings.ts';
import type { CommandContext } from './context.ts';
import type { StoreOptions, UploadOptions } from './store-options.ts';

/** Dispose wipes the customer's keys. */
export interface ReadStoreSettings extends Disposable {
  readonly settings: StoreSettings;
}

type Options = StoreOptions & Partial<UploadOptions>;

interface CustomerKeys {
  readonly s3: Secret | undefined;
  readonly azure: Secret | undefined;
  readonly gcs: Secret | undefined;
}

/**
 * The settings that the options mean, with the customer's keys read. Errors: `usage` (options that contradict each
 * other), `config` and `key` (a key's reference, and what it names).
 */
export async function readStoreSettings(options: Options, context: CommandContext): Promise<ReadStoreSettings> {
  const keys: CustomerKeys = {
    s3: await readCustomerKey(options.sseCKey, context),
    azure: await readCustomerKey(options.azureCustomerKey, context),
    gcs: await readCustomerKey(options.gcsCustomerKey, context),
  };
  const settings: StoreSettings = withoutGaps({
    s3: toS3Settings(options, keys),
    azure: toAzureSettings(options, keys),
    gcs: toGcsSettings(options, keys),
    lock: toLockRequest(options),
    tags: options.tag && toPairs('--tag', options.tag),
    requireEncryption: options.requireSse,
    uploadMemoryBytes: toBytes(options.uploadMemory),
    uploadBytesPerSecond: toBytes(options.uploadRate),
  });
  return {
    settings,
    [Symbol.dispose]: () => {
      for (const key of Object.values(keys)) key?.[Symbol.dispose]();
    },
  };
}

function toBytes(mebibytes: number | undefined): number | undefined {
  return mebibytes === undefined ? undefined : mebibytes * 1024 * 1024;
}

async function readCustomerKey(reference: string | undefined, context: CommandContext): Promise<Secret | undefined> {
  if (reference === undefined) return undefined;
  const { auditedRead } = await import('../backup/read-secrets.ts');
  const { readKeyEncryptionKey } = await import('../keys/read-key-encryption-key.ts');
  const use = { reference, purpose: 'server-side-encryption', context };
  return await auditedRead(use, async () => await readKeyEncryptionKey(reference, context));
}

function toS3Settings(options: Options, keys: CustomerKeys): S3Settings {
  return withoutGaps({
    checksumMode: options.checksumMode,
    region: options.s3Region,
    endpoint: options.s3Endpoint,
    forcePathStyle: options.s3PathStyle,
    storageClass: options.s3StorageClass,
    maxParts: options.s3MaxParts,
    caFile: options.caFile,
    encryption: toS3Encryption(options, keys.s3),
  });
}

type Gapless<T> = { [Name in keyof T]?: Exclude<T[Name], undefined> };

/** The same fields, those that are not set left out. */
function withoutGaps<T extends object>(fields: T): Gapless<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Gapless<T>;
}

/** A customer's key alone means `sse-c`. */
function toS3Encryption(options: Options, key: Secret | undefined): S3EncryptionRequest | undefined {
  const method = options.sse ?? (key === undefined ? undefined : 'sse-c');
  refuseMisplaced(options, method);
  const { sseKmsKey: keyId, sseBucketKey: bucketKey } = options;
  const context = options.sseKmsContext && toPairs('--sse-kms-context', options.sseKmsContext);
  switch (method) {
    case undefined:
      return undefined;
    case 'sse-s3':
      return { method };
    case 'sse-kms':
      return { method, keyId, context, bucketKey };
    case 'dsse-kms':
      return { method, keyId, context };
    case 'sse-c':
      if (key !== undefined) return { method, key };
      throw new BackupError('usage', '--sse sse-c needs a key', { hint: 'Name it with --sse-c-key file:PATH.' });
  }
}

type S3Method = S3EncryptionRequest['method'];

/** Options that only some methods of server-side encryption have. */
const methodsByOption: Readonly<Partial<Record<keyof Options, readonly S3Method[]>>> = {
  sseKmsKey: ['sse-kms', 'dsse-kms'],
  sseKmsContext: ['sse-kms', 'dsse-kms'],
  sseBucketKey: ['sse-kms'],
  sseCKey: ['sse-c'],
};

function refuseMisplaced(options: Options, method: S3Method | undefined): void {
  for (const [name, methods] of Object.entries(methodsByOption)) {
    const isGiven = options[name as keyof Options] !== undefined;
    if (!isGiven || (method !== undefined && methods.includes(method))) continue;
    const flag = `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    throw new BackupError('usage', `${flag} is for --sse ${methods.join(' and ')}`);
  }
}

function toAzureSettings(options: Options, { azure: key }: CustomerKeys): AzureSettings {
  const { azureEncryptionScope: scope } = options;
  if (scope !== undefined && key !== undefined) {
    throw new BackupError('usage', '--azure-encryption-scope and --azure-customer-key exclude each other');
  }
  const { azureEndpoint: endpoint, azureTier: tier, caFile } = options;
  const byScope = scope === undefined ? undefined : ({ method: 'azure-scope', scope } as const);
  const byKey = key === undefined ? undefined : ({ method: 'azure-cpk', key } as const);
  return withoutGaps({ endpoint, tier, caFile, encryption: byScope ?? byKey });
}

function toGcsSettings(options: Options, { gcs: key }: CustomerKeys): GcsSettings {
  const { gcsKmsKey: keyName } = options;
  if (keyName !== undefined && key !== undefined) {
    throw new BackupError('usage', '--gcs-kms-key and --gcs-customer-key exclude each other');
  }
  const { gcsEndpoint: endpoint, gcsStorageClass: storageClass, caFile } = options;
  const byName = keyName === undefined ? undefined : ({ method: 'gcs-cmek', keyName } as const);
  const byKey = key === undefined ? undefined : ({ method: 'gcs-csek', key } as const);
  return withoutGaps({ endpoint, storageClass, caFile, encryption: byName ?? byKey });
}

function toLockRequest({ lock, lockFor, legalHold }: Options): LockRequest | undefined {
  if ((lock === undefined) !== (lockFor === undefined)) {
    throw new BackupError('usage', '--lock and --lock-for go together', {
      hint: 'Say both, e.g. --lock compliance --lock-for 30d.',
    });
  }
  if (lock === undefined || lockFor === undefined) return legalHold === true ? { legalHold } : undefined;
  return { retention: { mode: lock, durationMs: parseDuration(lockFor) }, legalHold: legalHold === true };
}

/** `name=value` each; a value may hold further `=`. */
function toPairs(flag: string, texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf('=');
      if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
      throw new BackupError('usage', `${flag} "${text}" is not name=value`);
    }),
  );
}
