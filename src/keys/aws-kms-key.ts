import { DescribeKeyCommand, ListKeyRotationsCommand, type KeyMetadata, type KMSClient } from '@aws-sdk/client-kms';
import { callAws } from './aws-client.ts';
import { isAwsFailure, unexpectedAnswer } from './aws-errors.ts';

/** A key of KMS, and who asks for it. */
export interface KmsKeyCall {
  readonly client: KMSClient;
  /** ARN, id or alias. */
  readonly key: string;
  /** The reference as the user wrote it. */
  readonly name: string;
  readonly signal: AbortSignal | undefined;
}

export interface KmsKey extends KeyMetadata {
  readonly Arn: string;
  readonly KeyId: string;
}

/** Needs `kms:DescribeKey`. Errors: `key`. */
export async function describeKmsKey({ client, key, name, signal }: KmsKeyCall): Promise<KmsKey> {
  const action = `look up key ${name}`;
  const command = new DescribeKeyCommand({ KeyId: key });
  const { KeyMetadata: facts } = await callAws(async (options) => await client.send(command, options), {
    action,
    signal,
  });
  return toKmsKey(facts, action);
}

export function toKmsKey(facts: KeyMetadata | undefined, action: string): KmsKey {
  if (facts?.Arn === undefined || facts.KeyId === undefined) throw unexpectedAnswer(action);
  return { ...facts, Arn: facts.Arn, KeyId: facts.KeyId };
}

/**
 * When what the key wraps with now was made: by its last rotation, or with the key. `null` where `kms:ListKeyRotations` is
 * not allowed, since nobody knows then whether the key was ever rotated.
 */
export async function findKmsMaterialDate(call: KmsKeyCall, { Arn, CreationDate }: KmsKey): Promise<Date | null> {
  try {
    return (await findLastRotation(call, Arn)) ?? CreationDate ?? null;
  } catch (error) {
    call.signal?.throwIfAborted();
    const isNeverRotated = isAwsFailure(error, 'UnsupportedOperationException');
    return isNeverRotated ? (CreationDate ?? null) : null;
  }
}

async function findLastRotation({ client, name, signal }: KmsKeyCall, arn: string): Promise<Date | undefined> {
  const call = { action: `list the rotations of key ${name}`, signal };
  let last: Date | undefined;
  let marker: string | undefined;
  do {
    const command = new ListKeyRotationsCommand({ KeyId: arn, ...(marker !== undefined && { Marker: marker }) });
    const answer = await callAws(async (options) => await client.send(command, options), call);
    for (const { RotationDate: date } of answer.Rotations ?? []) {
      if (date !== undefined && (last === undefined || date > last)) last = date;
    }
    marker = answer.Truncated === true ? answer.NextMarker : undefined;
  } while (marker !== undefined);
  return last;
}
