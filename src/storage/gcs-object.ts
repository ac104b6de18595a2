import type { LockMode, LockRequest, ObjectLock } from '../core/object-lock.ts';
import type { ServerEncryption } from '../core/server-encryption.ts';
import { ForeignAnswer } from './gcs-errors.ts';
import type { StoredObject } from './object-store.ts';

/** What is read of the `Objects` resource of the JSON API; 64-bit numbers are strings in it. */
export interface GcsResource {
  readonly name: string;
  readonly generation: string;
  readonly size: string;
  readonly timeCreated?: string;
  readonly updated?: string;
  /** In base64. Not there for objects that were composed, or made by the XML API's multipart upload. */
  readonly md5Hash?: string;
  /** With the version of the key at its end. */
  readonly kmsKeyName?: string;
  readonly customerEncryption?: { readonly keySha256?: string };
  readonly metadata?: Readonly<Record<string, string>>;
  readonly storageClass?: string;
  /** The object's own retention. */
  readonly retention?: { readonly mode?: string; readonly retainUntilTime?: string };
  /** The end of what the retention policy of the bucket keeps. */
  readonly retentionExpirationTime?: string;
  readonly temporaryHold?: boolean;
  readonly eventBasedHold?: boolean;
}

/** Reads a resource. Fails with `ForeignAnswer` for what is none. */
export function toResource(value: unknown): GcsResource {
  const { name, generation, size } = (value ?? {}) as Partial<Record<keyof GcsResource, unknown>>;
  if (typeof name === 'string' && typeof generation === 'string' && typeof size === 'string') {
    return value as GcsResource;
  }
  throw new ForeignAnswer('no object');
}

/** What `put` and `head` say of an object. */
export function describeResource(key: string, resource: GcsResource): StoredObject {
  const lock = lockOf(resource);
  return { ...summarizeResource(key, resource), serverEncryption: encryptionOf(resource), ...(lock && { lock }) };
}

/** What `list` says of an object. */
export function summarizeResource(key: string, resource: GcsResource): StoredObject {
  // `updated` changes with every change of the metadata, such as a hold.
  const modifiedAt = new Date(resource.timeCreated ?? resource.updated ?? 0);
  return { key, sizeBytes: Number(resource.size), modifiedAt, version: resource.generation };
}

/** Cloud Storage encrypts everything at rest; the question is with whose key. */
export function encryptionOf({ kmsKeyName, customerEncryption }: GcsResource): ServerEncryption {
  if (kmsKeyName !== undefined) {
    return { method: 'gcs-cmek', keyName: kmsKeyName.replace(/\/cryptoKeyVersions\/[^/]+$/, '') };
  }
  const keyDigest = customerEncryption?.keySha256;
  return keyDigest === undefined ? { method: 'gcs-managed' } : { method: 'gcs-csek', keyDigest };
}

/** Every lock that the object says it has; the longer one of its own retention and its bucket's. */
export function lockOf(resource: GcsResource): ObjectLock | undefined {
  const own = retentionOf(resource);
  const ofBucket = instant(resource.retentionExpirationTime);
  const isBucketLonger = ofBucket !== undefined && (own === undefined || Date.parse(own.until) < Date.parse(ofBucket));
  // The object does not say whether the policy of its bucket is locked; what may be lifted is not called more than that.
  const retention = isBucketLonger ? { mode: 'governance' as const, until: ofBucket } : own;
  const legalHold = resource.temporaryHold === true || resource.eventBasedHold === true;
  if (retention === undefined && !legalHold) return undefined;
  return { ...(retention && { retention }), legalHold };
}

function retentionOf({ retention }: GcsResource): { mode: LockMode; until: string } | undefined {
  const until = instant(retention?.retainUntilTime);
  if (until === undefined) return undefined;
  return { mode: retention?.mode === 'Locked' ? 'compliance' : 'governance', until };
}

/** Google writes nanoseconds and offsets; the manifest wants ISO 8601 in UTC. */
function instant(text: string | undefined): string | undefined {
  const time = Date.parse(text ?? '');
  return Number.isNaN(time) ? undefined : new Date(time).toISOString();
}

/** A lock as the resource of a new object asks for it. */
export interface LockFields {
  readonly retention?: { readonly mode: 'Locked' | 'Unlocked'; readonly retainUntilTime: string };
  readonly temporaryHold?: true;
}

export function toLockFields(lock: LockRequest | undefined, now: Date): LockFields {
  if (lock === undefined) return {};
  const { retention, legalHold } = lock;
  return {
    ...(retention !== undefined && {
      retention: {
        mode: retention.mode === 'compliance' ? ('Locked' as const) : ('Unlocked' as const),
        retainUntilTime: new Date(now.getTime() + retention.durationMs).toISOString(),
      },
    }),
    ...(legalHold && { temporaryHold: true as const }),
  };
}

/** What is asked of an object, as its resource should then say. */
export interface AskedResource {
  readonly encryption: ServerEncryption | undefined;
  readonly lock: LockFields;
  readonly storageClass: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
}

/** What was asked for and is not there: a phrase such as `encrypted it with …`, or `null` when all of it is. */
export function describeDifference(asked: AskedResource, resource: GcsResource): string | null {
  return (
    encryptionDifference(asked, resource) ??
    classDifference(asked, resource) ??
    tagsDifference(asked, resource) ??
    lockDifference(asked, resource)
  );
}

function encryptionDifference({ encryption }: AskedResource, resource: GcsResource): string | null {
  const applied = encryptionOf(resource);
  if (encryption === undefined || describeEncryption(encryption) === describeEncryption(applied)) return null;
  return `encrypted it with ${describeEncryption(applied)} instead of ${describeEncryption(encryption)}`;
}

/** Emulators name no class. */
function classDifference({ storageClass: asked }: AskedResource, { storageClass }: GcsResource): string | null {
  if (asked === undefined || storageClass === undefined || toClass(asked) === toClass(storageClass)) return null;
  return `stored it as ${storageClass} instead of ${asked}`;
}

/** "Storage classes" of Google's documentation: two names from before mean the standard class. */
function toClass(name: string): string {
  return name.toUpperCase().replace(/^(MULTI_)?REGIONAL$/, 'STANDARD');
}

function tagsDifference({ tags }: AskedResource, { metadata }: GcsResource): string | null {
  const missing = Object.entries(tags).find(([name, value]) => metadata?.[name] !== value);
  return missing === undefined ? null : `did not keep the tag "${missing[0]}" as asked`;
}

function lockDifference({ lock }: AskedResource, resource: GcsResource): string | null {
  if (lock.temporaryHold === true && resource.temporaryHold !== true) return 'set no hold on it';
  if (lock.retention === undefined) return null;
  const { mode, retainUntilTime } = resource.retention ?? {};
  const until = Date.parse(retainUntilTime ?? '');
  // The server may keep whole seconds.
  const isLongEnough = until >= Date.parse(lock.retention.retainUntilTime) - 1000;
  return mode === lock.retention.mode && isLongEnough ? null : 'did not lock it as asked';
}

function describeEncryption(encryption: ServerEncryption): string {
  if (encryption.method === 'gcs-cmek') return `gcs-cmek (${encryption.keyName})`;
  if (encryption.method === 'gcs-csek') return `gcs-csek (SHA-256 ${encryption.keyDigest})`;
  return encryption.method;
}
