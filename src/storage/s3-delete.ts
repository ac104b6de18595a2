import { DeleteObjectCommand, DeleteObjectsCommand } from '@aws-sdk/client-s3';
import { BackupError } from '../core/backup-error.ts';
import { describeActiveLock } from '../core/object-lock.ts';
import type { S3Calls } from './s3-calls.ts';
import { abortedBy } from './store-calls.ts';
import { toS3Error } from './s3-errors.ts';
import { lockOf } from './s3-lock.ts';

const maxKeysPerDelete = 1000;

export interface DeleteOptions {
  readonly signal?: AbortSignal;
}

/** Deletes objects, as many at a time as the server takes. A refusal because of a lock is `policy`. */
export async function deleteObjects(calls: S3Calls, keys: readonly string[], options: DeleteOptions): Promise<void> {
  const [only] = keys;
  if (only !== undefined && keys.length === 1) return await deleteOne(calls, only, options);
  for (let done = 0; done < keys.length; done += maxKeysPerDelete) {
    await deleteMany(calls, keys.slice(done, done + maxKeysPerDelete), options);
  }
}

async function deleteOne(calls: S3Calls, key: string, options: DeleteOptions): Promise<void> {
  const { client, bucket } = calls.target;
  const command = { Bucket: bucket, Key: calls.fullKey(key) };
  const request = async () => await client.send(new DeleteObjectCommand(command), abortedBy(options.signal));
  try {
    await calls.run(`delete ${calls.describe(key)}`, request, options);
  } catch (error) {
    throw await explainRefusal(calls, key, error);
  }
}

async function deleteMany(calls: S3Calls, keys: readonly string[], options: DeleteOptions): Promise<void> {
  const { client, bucket, url } = calls.target;
  const Objects = keys.map((key) => ({ Key: calls.fullKey(key) }));
  const input = { Bucket: bucket, Delete: { Objects, Quiet: true } };
  const request = async () => await client.send(new DeleteObjectsCommand(input), abortedBy(options.signal));
  const answer = await calls.run(`delete objects of "${url}"`, request, options).catch(async (error: unknown) => {
    throw await explainRefusal(calls, keys[0] ?? '', error);
  });
  const failed = answer.Errors?.find(({ Code }) => Code !== 'NoSuchKey');
  if (failed === undefined) return;
  const key = (failed.Key ?? '').slice(calls.fullKey('').length);
  const error = Object.assign(new Error(failed.Message ?? ''), { name: failed.Code ?? 'Error' });
  throw await explainRefusal(calls, key, toS3Error(error, `delete ${calls.describe(key)}`));
}

/** `error`, or what the object's lock says instead: servers answer a locked object with a mere "access denied". */
async function explainRefusal(calls: S3Calls, key: string, error: unknown): Promise<unknown> {
  if (!(error instanceof BackupError) || !['access', 'storage', 'config'].includes(error.kind)) return error;
  const head = await calls.head(key).catch(() => null);
  const lock = head === null ? null : describeActiveLock(lockOf(head), new Date());
  if (lock === null) return error;
  return new BackupError('policy', `cannot delete ${calls.describe(key)}: it is ${lock}`, {
    hint: 'Wait for the end of the lock, or have it lifted by somebody who may.',
    cause: error,
  });
}
