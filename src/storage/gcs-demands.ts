import { createHash } from 'node:crypto';
import { BackupError } from '../core/backup-error.ts';
import type { GcsDemands } from './gcs-put.ts';
import { smallestPartBytes } from './part-size.ts';
import { putIdMetadata } from './store-calls.ts';
import { defaultUploadMemoryBytes, type GcsSettings, type StoreSettings } from './store-settings.ts';

/** What the settings come to. */
export interface CheckedGcsSettings {
  readonly demands: GcsDemands;
  readonly keyHeaders: Readonly<Record<string, string>>;
  readonly memoryBytes: number;
}

// "Custom metadata" of Google's documentation: the limit for all names and values of an object.
const maxMetadataBytes = 8 * 1024;

/**
 * What the settings ask of every object. Fails with `config`, or `key`, for what Cloud Storage cannot do.
 * `requireEncryption` adds nothing: Cloud Storage keeps no object unencrypted, and says with whose key.
 */
export function checkGcsSettings(settings: StoreSettings): CheckedGcsSettings {
  const { gcs = {}, lock, tags = {}, uploadMemoryBytes = defaultUploadMemoryBytes } = settings;
  if (uploadMemoryBytes < smallestPartBytes) {
    throw new BackupError('config', `${uploadMemoryBytes} bytes of memory are too few for an upload`, {
      hint: `Allow at least ${smallestPartBytes}.`,
    });
  }
  checkTags(tags);
  return {
    ...checkEncryption(gcs.encryption, { lock, tags, storageClass: gcs.storageClass }),
    memoryBytes: uploadMemoryBytes,
  };
}

function checkEncryption(
  asked: GcsSettings['encryption'],
  others: Omit<GcsDemands, 'encryption'>,
): Omit<CheckedGcsSettings, 'memoryBytes'> {
  if (asked === undefined) return { demands: { ...others, encryption: undefined }, keyHeaders: {} };
  if (asked.method === 'gcs-cmek') {
    const { keyName } = asked;
    if (/^projects\/[^/]+\/locations\/[^/]+\/keyRings\/[^/]+\/cryptoKeys\/[^/]+$/.test(keyName)) {
      return { demands: { ...others, encryption: { method: 'gcs-cmek', keyName } }, keyHeaders: {} };
    }
    throw new BackupError('config', `${JSON.stringify(keyName)} is not the name of a Cloud KMS key`, {
      hint: 'Give projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY, without a version.',
    });
  }
  const key = asked.key.reveal();
  if (key.byteLength !== 32) {
    throw new BackupError('key', `a customer-supplied key has 32 bytes, and this one has ${key.byteLength}`, {
      hint: 'Give 32 random bytes.',
    });
  }
  const keyDigest = createHash('sha256').update(key).digest('base64');
  return {
    demands: { ...others, encryption: { method: 'gcs-csek', keyDigest } },
    keyHeaders: {
      'x-goog-encryption-algorithm': 'AES256',
      'x-goog-encryption-key': Buffer.from(key).toString('base64'),
      'x-goog-encryption-key-sha256': keyDigest,
    },
  };
}

function checkTags(tags: Readonly<Record<string, string>>): void {
  const names = Object.keys(tags);
  if (names.some((name) => name === '' || name === putIdMetadata)) {
    throw new BackupError('config', `a tag cannot be named "${names.includes('') ? '' : putIdMetadata}"`);
  }
  const sizeBytes = Object.entries(tags).reduce((sum, entry) => sum + Buffer.byteLength(entry.join('')), 0);
  if (sizeBytes > maxMetadataBytes - 256) {
    throw new BackupError('config', `${sizeBytes} bytes of tags are more than Cloud Storage takes`, {
      hint: 'Give fewer or shorter tags.',
    });
  }
}
