import {
  CreateAliasCommand,
  CreateKeyCommand,
  KMSClient,
  RotateKeyOnDemandCommand,
  ScheduleKeyDeletionCommand,
} from '@aws-sdk/client-kms';
import { BackupError } from '../core/backup-error.ts';
import { callAws, toAwsClientConfig, type AwsCall } from './aws-client.ts';
import { isAwsFailure } from './aws-errors.ts';
import { describeKmsKey, findKmsMaterialDate, toKmsKey, type KmsKey, type KmsKeyCall } from './aws-kms-key.ts';
import type { KeyAdmin, KeyVersion } from './key-admin.ts';
import type { SecretAccess } from './read-secret.ts';
import type { WrapperReference } from './secret-reference.ts';

/** The longest that KMS has, to think better of it. */
const waitingPeriodDays = 30;
/** The shortest, for a key that nobody has ever used. */
const shortWaitingPeriodDays = 7;

/**
 * A key of AWS KMS, all of it: KMS keeps the versions of its key material to itself, and finds the right one. So there is
 * one version, as old as the last rotation.
 *
 * - `list` needs `kms:DescribeKey`, and `kms:ListKeyRotations` for the age.
 * - `generate` makes a key and an alias that stands for it (`kms:CreateKey`, `kms:CreateAlias`); KMS itself chooses ARNs
 *   and ids, so that there is `usage` for those.
 * - `rotate` rotates on demand (`kms:RotateKeyOnDemand`), which takes KMS some minutes, and which it does only so many
 *   times for a key.
 * - `destroy` schedules the deletion of the whole key (`kms:ScheduleKeyDeletion`), with the waiting period of 30 days: the
 *   key opens nothing from now on and counts as destroyed, but can be brought back until then.
 */
export async function openAwsKmsAdmin(reference: WrapperReference, access: SecretAccess): Promise<KeyAdmin> {
  const client = new KMSClient(await toAwsClientConfig(reference.location, access.env));
  return new AwsKmsAdmin(client, reference, access.signal);
}

class AwsKmsAdmin implements KeyAdmin {
  readonly name: string;
  readonly #call: KmsKeyCall;

  constructor(client: KMSClient, { text, location }: WrapperReference, signal: AbortSignal | undefined) {
    this.name = text;
    this.#call = { client, key: location, name: text, signal };
  }

  async list(): Promise<readonly KeyVersion[]> {
    const key = await describeKmsKey(this.#call);
    const createdAt = await findKmsMaterialDate(this.#call, key);
    return [{ keyId: key.Arn, createdAt, state: toState(key) }];
  }

  async generate(): Promise<KeyVersion> {
    const alias = /(?:^|:)(?<alias>alias\/.+)$/.exec(this.#call.key)?.groups?.['alias'];
    if (alias === undefined) {
      throw new BackupError('usage', `AWS KMS chooses the ARN and the id of a key itself, and ${this.name} is one`, {
        hint: 'Write aws-kms:alias/NAME to make a key that an alias stands for.',
      });
    }
    if (await this.#exists()) throw this.#conflict();
    const key = await this.#createKey();
    try {
      await this.#createAlias(alias, key.Arn);
    } catch (error) {
      throw await this.#withoutKey(key, error);
    }
    return { keyId: key.Arn, createdAt: key.CreationDate ?? null, state: toState(key) };
  }

  async rotate(): Promise<KeyVersion> {
    const key = await describeKmsKey(this.#call);
    const before = await findKmsMaterialDate(this.#call, key);
    const call = this.#callTo('rotate key');
    const command = new RotateKeyOnDemandCommand({ KeyId: key.Arn });
    try {
      await callAws(async (options) => await this.#call.client.send(command, options), call);
    } catch (error) {
      throw isAwsFailure(error, 'LimitExceededException') ? this.#noMoreRotations(error) : error;
    }
    const after = await findKmsMaterialDate(this.#call, key);
    const isListed = after !== null && before !== null && after > before;
    return { keyId: key.Arn, createdAt: isListed ? after : null, state: 'active' };
  }

  async destroy({ keyId }: KeyVersion): Promise<void> {
    const key = await describeKmsKey(this.#call);
    if (keyId !== key.Arn) throw new BackupError('key', `${this.name} is key ${key.Arn}, not key ${keyId}`);
    await this.#scheduleDeletion(key, waitingPeriodDays);
  }

  [Symbol.dispose](): void {
    this.#call.client.destroy();
  }

  async #exists(): Promise<boolean> {
    try {
      await describeKmsKey(this.#call);
      return true;
    } catch (error) {
      if (isAwsFailure(error, 'NotFoundException')) return false;
      throw error;
    }
  }

  async #createKey(): Promise<KmsKey> {
    const call = this.#callTo('make key');
    const input = { KeySpec: 'SYMMETRIC_DEFAULT', KeyUsage: 'ENCRYPT_DECRYPT' } as const;
    const command = new CreateKeyCommand({ ...input, Description: 'key of librelog-backup' });
    const { KeyMetadata: facts } = await callAws(
      async (options) => await this.#call.client.send(command, options),
      call,
    );
    return toKmsKey(facts, call.action);
  }

  async #createAlias(alias: string, arn: string): Promise<void> {
    const command = new CreateAliasCommand({ AliasName: alias, TargetKeyId: arn });
    try {
      await callAws(async (options) => await this.#call.client.send(command, options), this.#callTo('make alias'));
    } catch (error) {
      if (!isAwsFailure(error, 'AlreadyExistsException')) throw error;
      // The answer to a first try may have been lost.
      if ((await describeKmsKey(this.#call)).Arn !== arn) throw this.#conflict(error);
    }
  }

  /** Takes a key back that no alias stands for, and gives the failure to throw. */
  async #withoutKey(key: KmsKey, failure: unknown): Promise<unknown> {
    try {
      await this.#scheduleDeletion(key, shortWaitingPeriodDays);
      return failure;
    } catch {
      if (!(failure instanceof BackupError)) return failure;
      return new BackupError(failure.kind, failure.message, {
        hint: `Delete the key ${key.Arn}, which was made for it and is not used.`,
        cause: failure,
      });
    }
  }

  async #scheduleDeletion({ KeyId }: KmsKey, days: number): Promise<void> {
    const command = new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: days });
    await callAws(
      async (options) => await this.#call.client.send(command, options),
      this.#callTo('schedule the deletion of key'),
    );
  }

  #callTo(verb: string): AwsCall {
    return { action: `${verb} ${this.name}`, signal: this.#call.signal };
  }

  #conflict(cause?: unknown): BackupError {
    return new BackupError('conflict', `there is a key ${this.name} already`, {
      hint: 'Rotate it, or give another alias.',
      cause,
    });
  }

  #noMoreRotations(cause: unknown): BackupError {
    return new BackupError('key', `cannot rotate key ${this.name}: KMS rotates it on demand no more`, {
      hint: 'Make a new key, and let the alias stand for it.',
      cause,
    });
  }
}

function toState({ KeyState: state }: KmsKey): KeyVersion['state'] {
  if (state === 'Enabled') return 'active';
  return state === 'PendingDeletion' || state === 'PendingReplicaDeletion' ? 'destroyed' : 'disabled';
}
