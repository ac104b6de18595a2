import { GetBucketEncryptionCommand, GetObjectLockConfigurationCommand } from '@aws-sdk/client-s3';
import { BackupError } from '../core/backup-error.ts';
import type { S3Calls } from './s3-calls.ts';
import { s3ErrorName, s3ErrorStatus } from './s3-errors.ts';

/** What must be so of the bucket before hours are spent on an upload into it. Asked once for each store. */
export class S3Bucket {
  readonly #calls: S3Calls;
  #checked: Promise<void> | undefined;

  constructor(calls: S3Calls) {
    this.#calls = calls;
  }

  /**
   * Fails with `config` when a lock is asked for that the bucket cannot have, and with `policy` when encryption is
   * required, nothing asks for it and the bucket has no default. Where the server or the rights leave the question
   * open, what it says of the stored object decides.
   */
  async assertReady(): Promise<void> {
    this.#checked ??= this.#check();
    try {
      await this.#checked;
    } catch (error) {
      this.#checked = undefined;
      throw error;
    }
  }

  async #check(): Promise<void> {
    const { client, bucket, url, settings } = this.#calls.target;
    const input = { Bucket: bucket };
    const { lock } = settings;
    if (lock !== undefined && (lock.legalHold || lock.retention !== undefined)) {
      const isMissing = await this.#isMissing(
        'ObjectLockConfigurationNotFoundError',
        async () => await client.send(new GetObjectLockConfigurationCommand(input)),
      );
      if (isMissing) throw noLock(`cannot lock objects in "${url}"`);
    }
    if (settings.requireEncryption === true && settings.s3?.encryption === undefined) {
      const isMissing = await this.#isMissing(
        'ServerSideEncryptionConfigurationNotFoundError',
        async () => await client.send(new GetBucketEncryptionCommand(input)),
      );
      if (isMissing) throw noEncryption(`cannot store anything in "${url}"`);
    }
  }

  /** Whether the server says that the bucket has no such configuration; other refusals say nothing. */
  async #isMissing(errorName: string, request: () => Promise<unknown>): Promise<boolean> {
    try {
      await this.#calls.run(`look at "${this.#calls.target.url}"`, request);
      return false;
    } catch (error) {
      if (s3ErrorName(error) === errorName) {
        // MinIO says the same of a bucket that does not exist.
        await this.#calls.assertBucket();
        return true;
      }
      if ((s3ErrorStatus(error) ?? 500) >= 500 && s3ErrorStatus(error) !== 501) throw error;
      return false;
    }
  }
}

function noLock(action: string): BackupError {
  return new BackupError('config', `${action}: the bucket has no Object Lock`, {
    hint: 'Use a bucket that was made with Object Lock, or leave out the lock.',
  });
}

function noEncryption(action: string): BackupError {
  return new BackupError('policy', `${action}: encryption is required, but the bucket has no default encryption`, {
    hint: 'Ask for server-side encryption, or set the default encryption of the bucket.',
  });
}
