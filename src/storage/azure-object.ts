import type { LockMode, LockRequest, ObjectLock } from '../core/object-lock.ts';
import type { ServerEncryption } from '../core/server-encryption.ts';
import type { StoredObject } from './object-store.ts';

/** What the answers to a put and to Get Blob Properties say of how an object is kept encrypted. */
export interface EncryptionAnswer {
  readonly isServerEncrypted?: boolean | undefined;
  readonly encryptionScope?: string | undefined;
  readonly encryptionKeySha256?: string | undefined;
}

/** What the answer to Get Blob Properties says of an object's immutability. */
export interface LockAnswer {
  readonly immutabilityPolicyExpiresOn?: Date | undefined;
  readonly immutabilityPolicyMode?: string | undefined;
  readonly legalHold?: boolean | undefined;
}

export interface VersionAnswer {
  readonly versionId?: string | undefined;
  readonly etag?: string | undefined;
}

interface PropertiesAnswer extends EncryptionAnswer, LockAnswer, VersionAnswer {
  readonly contentLength?: number | undefined;
  readonly lastModified?: Date | undefined;
}

/** What Azure's answer says of an object. */
export function describeProperties(key: string, answer: PropertiesAnswer): StoredObject {
  const version = versionOf(answer);
  const serverEncryption = toServerEncryption(answer);
  const lock = toObjectLock(answer);
  return {
    key,
    sizeBytes: answer.contentLength ?? 0,
    modifiedAt: answer.lastModified ?? new Date(0),
    ...(version !== undefined && { version }),
    ...(serverEncryption !== undefined && { serverEncryption }),
    ...(lock !== undefined && { lock }),
  };
}

/** The version id where the account keeps versions, otherwise the ETag, in its quotes, which tell them apart. */
export function versionOf({ versionId, etag }: VersionAnswer): string | undefined {
  if (versionId) return versionId;
  if (!etag) return undefined;
  // Lists leave the quotes out.
  return etag.startsWith('"') ? etag : `"${etag}"`;
}

export function isEtag(version: string): boolean {
  return version.startsWith('"');
}

export function toServerEncryption(answer: EncryptionAnswer): ServerEncryption | undefined {
  const { isServerEncrypted, encryptionScope, encryptionKeySha256 } = answer;
  if (encryptionKeySha256) return { method: 'azure-cpk', keyDigest: encryptionKeySha256 };
  if (encryptionScope) return { method: 'azure-scope', scope: encryptionScope };
  return isServerEncrypted === true ? { method: 'azure-managed' } : undefined;
}

export function toObjectLock(answer: LockAnswer): ObjectLock | undefined {
  const legalHold = answer.legalHold ?? false;
  const mode = lockModeByName.get(answer.immutabilityPolicyMode?.toLowerCase() ?? '');
  const until = answer.immutabilityPolicyExpiresOn;
  if (mode === undefined || until === undefined) return legalHold ? { legalHold } : undefined;
  return { retention: { mode, until: until.toISOString() }, legalHold };
}

/** By Azure's names in lower case; `mutable` is no lock. */
const lockModeByName: ReadonlyMap<string, LockMode> = new Map([
  ['unlocked', 'governance'],
  ['locked', 'compliance'],
] as const);

/** How the encryption applied differs from the one asked for, in words; `null` when it does not. */
export function encryptionDifference(
  asked: ServerEncryption | undefined,
  applied: ServerEncryption | undefined,
): string | null {
  if (asked === undefined || isSameEncryption(asked, applied)) return null;
  const found = applied === undefined ? 'nothing about encryption' : nameEncryption(applied);
  return `${nameEncryption(asked)} was asked for, and the server says ${found}`;
}

/** The service takes the names of scopes in any case. */
function isSameEncryption(asked: ServerEncryption, applied: ServerEncryption | undefined): boolean {
  if (asked.method === 'azure-scope' && applied?.method === 'azure-scope') {
    return asked.scope.toLowerCase() === applied.scope.toLowerCase();
  }
  if (asked.method === 'azure-cpk' && applied?.method === 'azure-cpk') return asked.keyDigest === applied.keyDigest;
  return false;
}

function nameEncryption(encryption: ServerEncryption): string {
  if (encryption.method === 'azure-scope') return `encryption scope "${encryption.scope}"`;
  if (encryption.method === 'azure-cpk') return `the customer-provided key with the SHA-256 ${encryption.keyDigest}`;
  return "encryption with the account's key";
}

/** How the tier that the server names, if it names one, differs from the one asked for, in words. */
export function tierDifference(asked: string | undefined, applied: string | undefined): string | null {
  if (asked === undefined || applied === undefined || asked === applied) return null;
  return `the tier ${asked} was asked for, and the server says ${applied}`;
}

/** How the lock applied is less than the one asked for, in words; `null` when it is not. */
export function lockDifference(asked: ObjectLock | undefined, applied: ObjectLock | undefined): string | null {
  if (asked === undefined) return null;
  if (asked.legalHold && applied?.legalHold !== true)
    return 'a legal hold was asked for, and the server did not set it';
  const { retention } = asked;
  if (retention === undefined) return null;
  const found = applied?.retention;
  // The service rounds to seconds.
  const isLongEnough = found !== undefined && Date.parse(found.until) >= Date.parse(retention.until) - 1000;
  if (isLongEnough && found.mode === retention.mode) return null;
  const text = found === undefined ? 'none' : `${found.mode} until ${found.until}`;
  return `a lock (${retention.mode} until ${retention.until}) was asked for, and the server set ${text}`;
}

/** The lock that a request means for an object stored now; whole seconds, since the header has no more. */
export function plannedLock(request: LockRequest | undefined, now: number): ObjectLock | undefined {
  if (request === undefined) return undefined;
  const { retention, legalHold } = request;
  if (retention === undefined) return legalHold ? { legalHold } : undefined;
  const until = new Date(Math.ceil((now + retention.durationMs) / 1000) * 1000).toISOString();
  return { retention: { mode: retention.mode, until }, legalHold };
}
