import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  type DeleteObjectsCommandOutput,
  type _Error as S3Problem,
} from '@aws-sdk/client-s3';
import { BackupError } from '../core/backup-error.ts';
import { describeActiveLock } from '../core/object-lock.ts';
import type { S3Calls } from './s3-calls.ts';
import { abortedBy } from './store-calls.ts';
import { isTransientS3Error, s3ErrorName, s3ErrorStatus, toS3Error } from './s3-errors.ts';
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

/** One that is not there is no failure. A 404 says so by its name only: without one, the bucket may be missing. */
async function deleteOne(calls: S3Calls, key: string, options: DeleteOptions): Promise<void> {
  const { client, bucket } = calls.target;
  const command = { Bucket: bucket, Key: calls.fullKey(key) };
  const request = async () => await client.send(new DeleteObjectCommand(command), abortedBy(options.signal));
  try {
    await calls.run(`delete ${calls.describe(key)}`, request, options);
  } catch (error) {
    const name = s3ErrorName(error);
    if (name === 'NoSuchKey') return;
    if (s3ErrorStatus(error) === 404 && name !== 'NoSuchBucket') return await calls.assertBucket(options.signal);
    throw await explainRefusal(calls, key, error);
  }
}

/** Whether calling again can help is said of every object: the next attempt is for those alone where it can. */
async function deleteMany(calls: S3Calls, keys: readonly string[], options: DeleteOptions): Promise<void> {
  const { client, bucket, url } = calls.target;
  const refused: KeyFailure[] = [];
  let rest = keys;
  const request = async (): Promise<void> => {
    const Objects = rest.map((key) => ({ Key: calls.fullKey(key) }));
    const input = { Bucket: bucket, Delete: { Objects, Quiet: true } };
    const answer = await client.send(new DeleteObjectsCommand(input), abortedBy(options.signal));
    const failures = failuresIn(calls, answer);
    refused.push(...failures.filter((failure) => !isTransientS3Error(failure)));
    const passing = failures.filter(isTransientS3Error);
    rest = passing.map(({ key }) => key);
    if (passing[0] !== undefined) throw passing[0];
  };
  await calls.run(`delete objects of "${url}"`, request, options).catch(async (error: unknown) => {
    if (error instanceof BackupError && error.cause instanceof KeyFailure) refused.push(error.cause);
    else throw await explainRefusal(calls, rest[0] ?? '', error);
  });
  const [failed] = refused;
  if (failed === undefined) return;
  throw await explainRefusal(calls, failed.key, toS3Error(failed, `delete ${calls.describe(failed.key)}`));
}

/** Why one of several objects was not deleted. */
class KeyFailure extends Error {
  readonly key: string;

  constructor(key: string, { Code, Message }: S3Problem) {
    super(Message ?? '');
    this.name = Code ?? 'Error';
    this.key = key;
  }
}

function failuresIn(calls: S3Calls, { Errors = [] }: DeleteObjectsCommandOutput): KeyFailure[] {
  const prefixLength = calls.fullKey('').length;
  const failed = Errors.filter(({ Code }) => Code !== 'NoSuchKey');
  return failed.map((problem) => new KeyFailure((problem.Key ?? '').slice(prefixLength), problem));
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
