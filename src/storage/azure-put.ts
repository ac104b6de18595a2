import { randomBytes } from 'node:crypto';
import type { BlobGetPropertiesResponse, BlockBlobUploadOptions } from '@azure/storage-blob';
import { BackupError } from '../core/backup-error.ts';
import { isManifestKey } from '../core/manifest-name.ts';
import type { LockRequest, ObjectLock } from '../core/object-lock.ts';
import type { ServerEncryption } from '../core/server-encryption.ts';
import type { AzureCalls } from './azure-calls.ts';
import { discardBlob } from './azure-discard.ts';
import { hiddenIfDenied, isUnderOtherKey } from './store-calls.ts';
import { azureErrorCode, azureErrorStatus } from './azure-errors.ts';
import {
  describeProperties,
  encryptionDifference,
  lockDifference,
  plannedLock,
  tierDifference,
  toObjectLock,
  toServerEncryption,
  versionOf,
  type EncryptionAnswer,
  type VersionAnswer,
} from './azure-object.ts';
import { tagsDifference } from './azure-tags.ts';
import { createMd5 } from './md5.ts';
import type { Part, PartTarget, PartUpload } from './multipart.ts';
import type { StoredObject } from './object-store.ts';

/** The metadata in which every blob keeps the name of the `put` that made it; Azure takes identifiers only. */
const putIdMetadata = 'librelog_put_id';

/** What every object of a store is asked to have. */
export interface AzureDemands {
  readonly encryption: ServerEncryption | undefined;
  readonly requireEncryption: boolean;
  readonly lock: LockRequest | undefined;
  readonly tags: Readonly<Record<string, string>> | undefined;
  readonly tier: string | undefined;
}

export interface AzurePutOptions {
  readonly calls: AzureCalls;
  readonly demands: AzureDemands;
  readonly key: string;
  readonly isCreateOnly: boolean;
}

/**
 * One `put` into Azure: Put Blob for a small body, Put Block and Put Block List for others. The blob carries a random id
 * of this put in its metadata: when the answer to the request that creates it is lost, the repetition says that the blob
 * exists already, and the id tells whether it is ours.
 *
 * Blocks of an upload that failed cannot be taken back: no request of the service discards them without making a blob.
 * They are in no list of objects, the next put of the same key replaces them, and the service removes them after a
 * week (REST reference, "Put Block").
 */
export class AzurePut implements PartTarget<StoredObject> {
  readonly calls: AzureCalls;
  readonly key: string;
  readonly action: string;
  readonly #demands: AzureDemands;
  readonly #isCreateOnly: boolean;
  readonly #putId = randomBytes(16);
  /** What names the blob that this put has made. */
  #made: VersionAnswer = {};

  constructor({ calls, demands, key, isCreateOnly }: AzurePutOptions) {
    this.calls = calls;
    this.key = key;
    this.action = `store ${calls.describe(key)}`;
    this.#demands = demands;
    this.#isCreateOnly = isCreateOnly;
  }

  get scope(): { encryptionScope?: string } {
    const { encryption } = this.#demands;
    return encryption?.method === 'azure-scope' ? { encryptionScope: encryption.scope } : {};
  }

  /** A manifest must be readable at once, whatever its objects are. */
  get #tier(): string | undefined {
    return isManifestKey(this.key) ? undefined : this.#demands.tier;
  }

  /** Block ids of two puts never meet, and all have the same length, which the service demands for one blob. */
  blockId(partNumber: number): string {
    const number = Buffer.alloc(4);
    number.writeUInt32BE(partNumber);
    return Buffer.concat([this.#putId, number]).toString('base64');
  }

  async putWhole(bytes: Buffer, signal: AbortSignal): Promise<StoredObject> {
    const lock = this.planLock();
    const options = { ...this.commitOptions(lock), transactionalContentMD5: md5(bytes) };
    const request = async () =>
      await this.calls.blob(this.key).upload(bytes, bytes.byteLength, { ...options, ...this.calls.reading(undefined) });
    const policy = this.calls.target.timings.patientRetry;
    return await this.settle(this.calls.run(this.action, request, { signal, policy }), bytes.byteLength, lock);
  }

  async begin(): Promise<AzurePartUpload> {
    return new AzurePartUpload(this);
  }

  planLock(): ObjectLock | undefined {
    return plannedLock(this.#demands.lock, Date.now());
  }

  /** What goes with the request that makes the blob. */
  commitOptions(lock: ObjectLock | undefined): BlockBlobUploadOptions {
    const { tags } = this.#demands;
    return {
      metadata: { [putIdMetadata]: this.#putId.toString('hex') },
      ...this.scope,
      ...(this.#isCreateOnly && { conditions: { ifNoneMatch: '*' } }),
      ...(tags !== undefined && { tags: { ...tags } }),
      ...(this.#tier !== undefined && { tier: this.#tier }),
      ...(lock?.legalHold && { legalHold: true }),
      ...(lock?.retention && {
        immutabilityPolicy: {
          expiriesOn: new Date(lock.retention.until),
          policyMode: lock.retention.mode === 'compliance' ? 'Locked' : 'Unlocked',
        },
      }),
    };
  }

  /**
   * Fails with `conflict` when a create-only key exists. The condition on the request itself is what counts; this look
   * beforehand spares the upload.
   */
  async assertAbsent(signal?: AbortSignal): Promise<void> {
    if (!this.#isCreateOnly) return;
    const found = await this.calls.head(this.key, signal).catch((error: unknown) => {
      if (isUnderOtherKey(error)) throw this.#alreadyThere();
      return hiddenIfDenied(error);
    });
    if (found !== null && found !== 'hidden') throw this.#alreadyThere();
  }

  /**
   * The outcome of `request`, which makes the blob visible: what the store now has, compared with what was sent and asked
   * for. A failure is a success after all when the blob there is ours: only the answer to an earlier attempt was lost.
   */
  async settle(request: Promise<PutAnswer>, sizeBytes: number, lock: ObjectLock | undefined): Promise<StoredObject> {
    const answer = await request.catch(async (error: unknown): Promise<PutAnswer | null> => {
      if (lock !== undefined && isUnexplained(error)) throw this.#lockRefused(error);
      await this.#assertOwn(error);
      return null;
    });
    if (answer !== null) {
      this.#made = answer;
      await this.#assertEncrypted(answer);
    }
    const found = await this.#look();
    if (found === null) {
      throw new BackupError('storage', `cannot ${this.action}: the server took it but does not have it`);
    }
    if (found === 'hidden') {
      if (lock !== undefined) await this.#refuse('these credentials may not read its lock');
      return this.#describeUnseen(answer ?? {}, sizeBytes);
    }
    if (this.#isForeign(found)) {
      // Somebody has replaced it meanwhile; where it should exist once only, the server did not heed the condition.
      if (this.#isCreateOnly) throw this.#alreadyThere();
      return this.#describeUnseen(answer ?? {}, sizeBytes);
    }
    if (answer === null) this.#made = found;
    await this.#assertAsAsked(found, sizeBytes, lock);
    return describeProperties(this.key, found);
  }

  async #assertAsAsked(
    found: BlobGetPropertiesResponse,
    sizeBytes: number,
    lock: ObjectLock | undefined,
  ): Promise<void> {
    if (found.contentLength !== sizeBytes) {
      const name = this.calls.describe(this.key);
      throw new BackupError('integrity', `${name} has ${found.contentLength} of ${sizeBytes} bytes`);
    }
    await this.#assertEncrypted(found);
    const difference =
      tierDifference(this.#tier, found.accessTier) ??
      lockDifference(lock, toObjectLock(found)) ??
      (await tagsDifference(this.calls, this.key, { asked: this.#demands.tags, found }));
    if (difference !== null) await this.#refuse(difference);
  }

  /** Throws what `failure`, the failure of the request that makes the blob, means, unless it made it all the same. */
  async #assertOwn(failure: unknown): Promise<void> {
    const code = azureErrorCode(failure);
    const isRefused = failure instanceof BackupError && (failure.kind === 'conflict' || failure.kind === 'policy');
    if (!isRefused && code !== 'InvalidBlockList') throw failure;
    const found = await this.#look().catch((error: unknown) => {
      throw isUnderOtherKey(error) ? failure : error;
    });
    if (found !== null && found !== 'hidden' && this.#isOwn(found)) return;
    // Whoever commits a blob discards the blocks of all others.
    if (code === 'InvalidBlockList' && found !== null && this.#isCreateOnly) throw this.#alreadyThere();
    throw failure;
  }

  async #assertEncrypted(answer: EncryptionAnswer): Promise<void> {
    const applied = toServerEncryption(answer);
    const { encryption, requireEncryption } = this.#demands;
    const difference = encryptionDifference(encryption, applied);
    if (difference !== null) await this.#refuse(difference);
    if (requireEncryption && applied === undefined) {
      await this.#refuse('encryption was required, and the server does not say that it encrypts');
    }
  }

  /** Removes what this put has made, and fails with `policy`. */
  async #refuse(difference: string): Promise<never> {
    const stays = await discardBlob(this.calls, this.key, this.#made);
    throw new BackupError('policy', `${this.calls.describe(this.key)} was not stored as asked: ${difference}${stays}`, {
      hint: 'Check the settings of the storage account and the container.',
    });
  }

  /** What is there now; `hidden` from credentials that may only write. */
  async #look(): Promise<BlobGetPropertiesResponse | null | 'hidden'> {
    return await this.calls.head(this.key).catch(hiddenIfDenied);
  }

  #isOwn({ metadata }: BlobGetPropertiesResponse): boolean {
    return metadata?.[putIdMetadata] === this.#putId.toString('hex');
  }

  #isForeign(found: BlobGetPropertiesResponse): boolean {
    return found.metadata?.[putIdMetadata] !== undefined && !this.#isOwn(found);
  }

  #lockRefused(cause: unknown): BackupError {
    const answer = [azureErrorCode(cause), `HTTP ${azureErrorStatus(cause)}`].filter(Boolean).join(', ');
    return new BackupError('config', `cannot ${this.action}: the server refuses it with a lock (${answer})`, {
      hint: 'Enable versioning and version-level immutability for the container, or ask for no lock.',
      cause,
    });
  }

  #alreadyThere(): BackupError {
    return new BackupError('conflict', `cannot ${this.action}: it is there already`);
  }

  #describeUnseen(answer: PutAnswer, sizeBytes: number): StoredObject {
    const version = versionOf(answer);
    const serverEncryption = toServerEncryption(answer);
    return {
      key: this.key,
      sizeBytes,
      modifiedAt: new Date(),
      ...(version !== undefined && { version }),
      ...(serverEncryption !== undefined && { serverEncryption }),
    };
  }
}

/** What the answers to Put Blob and Put Block List say of the new blob. */
type PutAnswer = EncryptionAnswer & VersionAnswer;

class AzurePartUpload implements PartUpload<StoredObject> {
  readonly #put: AzurePut;
  #parts = 0;
  #sizeBytes = 0;

  constructor(put: AzurePut) {
    this.#put = put;
  }

  async sendPart({ number, bytes }: Part, signal: AbortSignal): Promise<void> {
    const { calls, key, action, scope } = this.#put;
    // The SDK's own CRC-64 comes in a framing that only the newest servers know.
    const options = { ...scope, ...calls.reading(signal), transactionalContentMD5: md5(bytes) };
    const id = this.#put.blockId(number);
    const request = async () => await calls.blob(key).stageBlock(id, bytes, bytes.byteLength, options);
    await calls.run(action, request, { signal, policy: calls.target.timings.patientRetry });
    this.#parts += 1;
    this.#sizeBytes += bytes.byteLength;
  }

  async complete(signal: AbortSignal): Promise<StoredObject> {
    const { calls, key, action } = this.#put;
    await this.#put.assertAbsent(signal);
    const lock = this.#put.planLock();
    const ids = Array.from({ length: this.#parts }, (_, index) => this.#put.blockId(index + 1));
    const options = { ...this.#put.commitOptions(lock), ...calls.reading(undefined) };
    const request = async () => await calls.blob(key).commitBlockList(ids, options);
    const committed = calls.run(action, request, { signal, policy: calls.target.timings.patientRetry });
    return await this.#put.settle(committed, this.#sizeBytes, lock);
  }

  /** See `AzurePut`: there is nothing that could be done. */
  async abort(): Promise<void> {}
}

/**
 * Beginnings of the codes that say something else than that there can be no lock: "Common REST API error codes" and "Blob
 * service error codes" of the REST reference, those with status 400 and 409.
 */
const ownReasons =
  /^(Block|Condition|Empty|Invalid|Lease|Md5|Metadata|Missing|Multiple|OutOfRange|PendingCopy|Request|Resource|Snapshot|System)/;

/**
 * Whether the service refused a request for a reason of which nothing more is known. The code with which it refuses a
 * lock in a container without version-level immutability is not documented.
 */
function isUnexplained(error: unknown): boolean {
  const isRefusal = [400, 409].includes(azureErrorStatus(error) ?? 0) && !ownReasons.test(azureErrorCode(error));
  return isRefusal && error instanceof BackupError && error.kind === 'storage';
}

function md5(bytes: Uint8Array): Buffer {
  return createMd5().update(bytes).digest();
}
