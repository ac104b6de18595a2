import type { StorageClass } from '@aws-sdk/client-s3';
import { BackupError } from '../core/backup-error.ts';
import { isManifestKey } from '../core/manifest-name.ts';
import type { ObjectLock } from '../core/object-lock.ts';
import { s3PartLimits, type PartLimits } from './part-size.ts';
import { encryptionInput, type EncryptionInput } from './s3-encryption.ts';
import { lockInput, type LockInput } from './s3-lock.ts';
import type { S3Settings, StoreSettings } from './store-settings.ts';

/** What every request that begins an object says of it, beside its name and bytes. */
export interface ObjectInput extends EncryptionInput, LockInput {
  /** Servers have classes of their own beside Amazon's. */
  StorageClass?: StorageClass;
  Tagging?: string;
}

export function objectInput(key: string, settings: StoreSettings, lock: ObjectLock | undefined): ObjectInput {
  const { s3 = {}, tags = {} } = settings;
  const storageClass = storageClassFor(key, s3);
  return {
    ...encryptionInput(s3.encryption),
    ...lockInput(lock),
    ...(storageClass !== undefined && { StorageClass: storageClass as StorageClass }),
    ...(Object.keys(tags).length > 0 && { Tagging: new URLSearchParams(tags).toString().replaceAll('+', '%20') }),
  };
}

/** The class to ask for, if any. A manifest must be readable at once, whatever its objects are. */
export function storageClassFor(key: string, { storageClass }: S3Settings): string | undefined {
  return isManifestKey(key) ? undefined : storageClass;
}

export function partLimits(settings: S3Settings): PartLimits {
  const { maxParts = s3PartLimits.maxParts } = settings;
  if (Number.isSafeInteger(maxParts) && maxParts >= 100 && maxParts <= s3PartLimits.maxParts) {
    return { ...s3PartLimits, maxParts };
  }
  throw new BackupError('config', `an S3 upload cannot have up to ${maxParts} parts`, {
    hint: `Allow between 100 and ${s3PartLimits.maxParts} parts.`,
  });
}

/** "Object tagging restrictions" of the S3 user guide. Fails with `config` beforehand, since servers only say 400. */
export function assertUsableTags(tags: Readonly<Record<string, string>>): void {
  const entries = Object.entries(tags);
  const wrong = entries.find(([name, value]) => !isTagText(name, 128) || name === '' || !isTagText(value, 256));
  if (wrong !== undefined) {
    throw new BackupError('config', `${JSON.stringify(wrong[0])} with its value is not an object tag of S3`, {
      hint: 'Write up to 128 and 256 letters, digits, blanks and + - = . _ : / @ .',
    });
  }
  if (entries.length > 10) {
    throw new BackupError('config', `${entries.length} tags are too many for an object in S3`, {
      hint: 'Give at most 10 tags.',
    });
  }
}

function isTagText(text: string, maxLength: number): boolean {
  return text.length <= maxLength && /^[\p{L}\p{N}\p{Zs}+\-=._:/@]*$/u.test(text);
}
