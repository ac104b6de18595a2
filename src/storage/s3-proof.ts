import {
  DeleteObjectCommand,
  GetObjectTaggingCommand,
  PutObjectLegalHoldCommand,
  PutObjectRetentionCommand,
  PutObjectTaggingCommand,
  type HeadObjectCommandOutput,
  type Tag,
} from '@aws-sdk/client-s3';
import { BackupError, describeError, toBackupError } from '../core/backup-error.ts';
import type { ObjectLock } from '../core/object-lock.ts';
import type { ServerEncryption } from '../core/server-encryption.ts';
import type { S3Calls } from './s3-calls.ts';
import { contextDifference, encryptionDifference, encryptionOf, type EncryptionAnswer } from './s3-encryption.ts';
import { s3ErrorStatus } from './s3-errors.ts';
import { lockDifference, lockInput, lockOf } from './s3-lock.ts';
import { storageClassFor } from './s3-object-input.ts';
import { refusedQuestionStatuses } from './store-calls.ts';

/** An object that a `put` has just made. */
export interface MadeObject {
  readonly key: string;
  /** Where the bucket keeps versions. */
  readonly versionId: string | undefined;
  /** What the answers to the requests that made it said. */
  readonly answer: EncryptionAnswer;
  /** What the server says of it now; nothing when another has replaced it, or the credentials may not look. */
  readonly head: HeadObjectCommandOutput | undefined;
  /** The lock that was asked for. */
  readonly lock: ObjectLock | undefined;
}

export interface ProvenSettings {
  readonly serverEncryption?: ServerEncryption;
  readonly lock?: ObjectLock;
}

/**
 * Compares what was asked for a new object with what the server says of it. A difference, or a failure to find out,
 * removes the object again - its very version, where the bucket keeps versions - and fails, with `policy` for a
 * difference. Where the object replaced another in a bucket without versions, that one is gone.
 */
export async function proveSettings(calls: S3Calls, made: MadeObject): Promise<ProvenSettings> {
  try {
    return await new Proof(calls, made).run();
  } catch (error) {
    const kept = await removeAgain(calls, made);
    const failure = toBackupError(error, 'storage', `cannot store ${calls.describe(made.key)}`);
    throw new BackupError(failure.kind, failure.message + kept, { hint: failure.hint, cause: error });
  }
}

class Proof {
  readonly #calls: S3Calls;
  readonly #made: MadeObject;

  constructor(calls: S3Calls, made: MadeObject) {
    this.#calls = calls;
    this.#made = made;
  }

  async run(): Promise<ProvenSettings> {
    const { head, answer } = this.#made;
    const serverEncryption = encryptionOf(head ?? answer);
    this.#assertEncryption(serverEncryption);
    this.#assertClass();
    await this.#proveTags();
    const lock = await this.#proveLock();
    return {
      ...(serverEncryption !== undefined && { serverEncryption }),
      ...(lock !== undefined && { lock }),
    };
  }

  #assertEncryption(applied: ServerEncryption | undefined): void {
    const { s3, requireEncryption = false } = this.#calls.target.settings;
    const difference =
      encryptionDifference(s3?.encryption, applied) ??
      contextDifference(s3?.encryption, this.#made.answer.SSEKMSEncryptionContext);
    if (difference !== null) {
      throw this.#violation(difference, 'Ask for an encryption that this server applies.');
    }
    if (!requireEncryption || applied !== undefined) return;
    throw this.#violation(
      'encryption is required, but it does not say that it encrypts the object',
      'Ask for server-side encryption, or set the default encryption of the bucket.',
    );
  }

  /** Hardly a server names the standard class in its answers. */
  #assertClass(): void {
    const { head, key } = this.#made;
    const asked = storageClassFor(key, this.#calls.target.settings.s3 ?? {});
    if (asked === undefined || head === undefined) return;
    const used = head.StorageClass ?? 'STANDARD';
    if (used.toUpperCase() === asked.toUpperCase()) return;
    throw this.#violation(
      `it was asked for the storage class ${asked}, but used ${used}`,
      'Ask for a storage class that this server has.',
    );
  }

  /** Sets again the tags that are missing: Ceph 16 ignores those of multipart uploads. */
  async #proveTags(): Promise<void> {
    const { client, settings } = this.#calls.target;
    const { head, key, versionId } = this.#made;
    const tags = Object.entries(settings.tags ?? {}).map(([Key, Value]) => ({ Key, Value }));
    if (tags.length === 0 || head === undefined || (await this.#countTags(head)) >= tags.length) return;
    const input = { ...this.#address, Tagging: { TagSet: tags } };
    await this.#run('tag', async () => await client.send(new PutObjectTaggingCommand(input)));
    const now = await this.#calls.head(key, { versionId });
    const found = now === null ? 0 : await this.#countTags(now);
    if (found >= tags.length) return;
    throw this.#violation(
      `it was asked for ${tags.length} tags, but has ${found} of them`,
      'Leave out the tags, or use a server that keeps them.',
    );
  }

  /**
   * How many of the tags the server says that there are: as many as were asked for where it says nothing. Amazon counts
   * them for those only who may read them.
   */
  async #countTags({ TagCount }: HeadObjectCommandOutput): Promise<number> {
    if (TagCount !== undefined) return TagCount;
    const { client, settings } = this.#calls.target;
    const asked = Object.entries(settings.tags ?? {});
    const request = async (): Promise<readonly Tag[] | undefined> =>
      (await client.send(new GetObjectTaggingCommand(this.#address))).TagSet;
    const found = await this.#calls
      .run(`read the tags of ${this.#calls.describe(this.#made.key)}`, request)
      .catch(nothingIfRefused);
    if (found === undefined) return asked.length;
    return asked.filter(([name, value]) => found.some(({ Key, Value }) => Key === name && Value === value)).length;
  }

  async #proveLock(): Promise<ObjectLock | undefined> {
    const { head, lock: asked, key } = this.#made;
    const applied = lockOf(head ?? {});
    if (asked === undefined || lockDifference(asked, applied) === null) return applied;
    await this.#setLock(asked);
    const now = lockOf((await this.#calls.head(key, { versionId: this.#made.versionId })) ?? {});
    const difference = lockDifference(asked, now);
    if (difference === null) return now;
    throw this.#violation(difference, 'Allow s3:GetObjectRetention and s3:GetObjectLegalHold, or leave out the lock.');
  }

  /** Ceph 16 ignores the lock of multipart uploads. */
  async #setLock(asked: ObjectLock): Promise<void> {
    const { client } = this.#calls.target;
    const { ObjectLockMode, ObjectLockRetainUntilDate, ObjectLockLegalHoldStatus } = lockInput(asked);
    if (ObjectLockMode !== undefined) {
      const Retention = { Mode: ObjectLockMode, RetainUntilDate: ObjectLockRetainUntilDate };
      const command = new PutObjectRetentionCommand({ ...this.#address, Retention });
      await this.#run('lock', async () => await client.send(command));
    }
    if (ObjectLockLegalHoldStatus !== undefined) {
      const LegalHold = { Status: ObjectLockLegalHoldStatus };
      const command = new PutObjectLegalHoldCommand({ ...this.#address, LegalHold });
      await this.#run('lock', async () => await client.send(command));
    }
  }

  async #run(verb: string, request: () => Promise<unknown>): Promise<void> {
    await this.#calls.run(`${verb} ${this.#calls.describe(this.#made.key)}`, request);
  }

  get #address(): { Bucket: string; Key: string; VersionId?: string } {
    return addressOf(this.#calls, this.#made);
  }

  #violation(difference: string, hint: string): BackupError {
    return new BackupError(
      'policy',
      `the server does not keep ${this.#calls.describe(this.#made.key)} as asked: ${difference}`,
      {
        hint,
      },
    );
  }
}

/** Removes what was made, or at least hides it behind a marker; what stays all the same is the end of a sentence. */
async function removeAgain(calls: S3Calls, made: MadeObject): Promise<string> {
  // Without versions, another's object may have taken its place.
  if (made.head === undefined && made.versionId === undefined) {
    return '; and it stays there unless another has replaced it';
  }
  const { client } = calls.target;
  const { VersionId, ...newest } = addressOf(calls, made);
  const remove = async (versionId?: string): Promise<void> => {
    const command = new DeleteObjectCommand({ ...newest, ...(versionId !== undefined && { VersionId: versionId }) });
    await calls.run(`remove ${calls.describe(made.key)} again`, async () => await client.send(command));
  };
  try {
    await remove(VersionId);
    return '';
  } catch (error) {
    if (VersionId !== undefined && made.head !== undefined) await remove().catch(() => {});
    return `; and ${describeError(error)}`;
  }
}

function nothingIfRefused(error: unknown): undefined {
  if (!refusedQuestionStatuses.has(s3ErrorStatus(error))) throw error;
}

function addressOf(
  calls: S3Calls,
  { key, versionId }: MadeObject,
): { Bucket: string; Key: string; VersionId?: string } {
  return {
    Bucket: calls.target.bucket,
    Key: calls.fullKey(key),
    ...(versionId !== undefined && { VersionId: versionId }),
  };
}
