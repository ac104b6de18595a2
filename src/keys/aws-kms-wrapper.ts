import { DecryptCommand, EncryptCommand, KMSClient } from '@aws-sdk/client-kms';
import { BackupError } from '../core/backup-error.ts';
import type { KeyWrapper, WrapContext } from '../core/key-wrapper.ts';
import type { Secret } from '../core/secret.ts';
import type { WrappedKey } from '../core/wrapped-key.ts';
import { callAws, toAwsClientConfig } from './aws-client.ts';
import { unexpectedAnswer } from './aws-errors.ts';
import { describeKmsKey, findKmsMaterialDate, type KmsKeyCall } from './aws-kms-key.ts';
import type { SecretAccess } from './read-secret.ts';
import type { WrapperReference } from './secret-reference.ts';
import { toDataKey } from './to-data-key.ts';

const algorithm = 'SYMMETRIC_DEFAULT';
/** The most that Decrypt takes (API reference of Decrypt, CiphertextBlob). */
const maxWrappedBytes = 6144;

/**
 * `aws-kms:ARN`, `aws-kms:ID` or `aws-kms:alias/NAME`: a symmetric key of AWS KMS, bound to the backup by the encryption
 * context `{ "backup-id": …, "backup-label": … }`. Needs `kms:Encrypt` to wrap, `kms:Decrypt` to unwrap, and then, for an
 * alias, `kms:DescribeKey` as well; with `kms:DescribeKey` and `kms:ListKeyRotations` it knows the key's age. KMS finds the
 * version of its key by itself.
 */
export async function openAwsKms(reference: WrapperReference, { env, signal }: SecretAccess): Promise<KeyWrapper> {
  const client = new KMSClient(await toAwsClientConfig(reference.location, env));
  return new AwsKmsWrapper(client, reference, signal);
}

class AwsKmsWrapper implements KeyWrapper {
  readonly name: string;
  readonly #key: string;
  readonly #client: KMSClient;
  readonly #signal: AbortSignal | undefined;
  /** Of the key that an alias stands for. */
  #arn: Promise<string> | undefined;

  constructor(client: KMSClient, reference: WrapperReference, signal: AbortSignal | undefined) {
    this.name = reference.text;
    this.#key = reference.location;
    this.#client = client;
    this.#signal = signal;
  }

  async wrap(dataKey: Secret, context: WrapContext): Promise<WrappedKey> {
    const call = { action: `wrap a data key with ${this.name}`, signal: this.#signal };
    const command = new EncryptCommand({
      KeyId: this.#key,
      Plaintext: dataKey.reveal(),
      EncryptionAlgorithm: algorithm,
      EncryptionContext: toEncryptionContext(context),
    });
    const answer = await callAws(async (options) => await this.#client.send(command, options), call);
    const { KeyId: keyId, CiphertextBlob: bytes } = answer;
    if (keyId === undefined || bytes === undefined) throw unexpectedAnswer(call.action);
    this.#arn ??= Promise.resolve(keyId);
    return { provider: 'aws-kms', keyId, algorithm, wrapped: Buffer.from(bytes).toString('base64') };
  }

  async unwrap(wrapped: WrappedKey, context: WrapContext): Promise<Secret | null> {
    if (wrapped.provider !== 'aws-kms') return null;
    const key = await this.#resolve();
    if (!isSameKey(key, wrapped.keyId)) return null;
    const call = { action: `unwrap a data key with ${this.name}`, signal: this.#signal };
    const command = new DecryptCommand({
      // Otherwise the ciphertext chooses the key.
      KeyId: key,
      CiphertextBlob: decodeWrapped(wrapped.wrapped, call.action),
      EncryptionAlgorithm: algorithm,
      EncryptionContext: toEncryptionContext(context),
    });
    const { Plaintext: bytes } = await callAws(async (options) => await this.#client.send(command, options), call);
    if (bytes === undefined) throw unexpectedAnswer(call.action);
    return toDataKey(bytes, call.action);
  }

  async createdAt(): Promise<Date | null> {
    try {
      return await findKmsMaterialDate(this.#lookUp(), await describeKmsKey(this.#lookUp()));
    } catch {
      return null;
    }
  }

  [Symbol.dispose](): void {
    this.#client.destroy();
  }

  /** The ARN or id of the key; asks what an alias stands for only once, unless that fails. */
  async #resolve(): Promise<string> {
    if (!/(^|:)alias\//.test(this.#key)) return this.#key;
    this.#arn ??= this.#findArn().catch((error: unknown) => {
      this.#arn = undefined;
      throw error;
    });
    return await this.#arn;
  }

  async #findArn(): Promise<string> {
    return (await describeKmsKey(this.#lookUp())).Arn;
  }

  #lookUp(): KmsKeyCall {
    return { client: this.#client, key: this.#key, name: this.name, signal: this.#signal };
  }
}

/** Whether an ARN or id means the key of that ARN. The copies of a multi-Region key differ in their region only. */
function isSameKey(key: string, arn: string): boolean {
  if (!key.includes(':')) return arn.endsWith(`:key/${key}`);
  return key === arn || (key.includes(':key/mrk-') && withoutRegion(key) === withoutRegion(arn));
}

function withoutRegion(arn: string): string {
  return arn.replace(/^(arn:[^:]*:kms:)[^:]*/, '$1');
}

/** What the wrapped key is bound to, and what CloudTrail and key policies see of it: part of the format. */
function toEncryptionContext({ backupId, label }: WrapContext): Record<string, string> {
  return { 'backup-id': backupId, 'backup-label': label };
}

function decodeWrapped(base64: string, action: string): Buffer {
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.byteLength > 0 && bytes.byteLength <= maxWrappedBytes) return bytes;
  throw new BackupError('integrity', `cannot ${action}: the wrapped data key was changed`);
}
