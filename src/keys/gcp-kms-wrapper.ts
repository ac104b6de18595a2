import canonicalize from 'canonicalize';
import { BackupError } from '../core/backup-error.ts';
import type { KeyWrapper, WrapContext } from '../core/key-wrapper.ts';
import type { Meaning } from '../core/meaning.ts';
import type { Secret } from '../core/secret.ts';
import type { WrappedKey } from '../core/wrapped-key.ts';
import { crc32c } from './crc32c.ts';
import { readChecked, readChildName } from './gcp-checked.ts';
import { GcpClient, type GcpAnswer } from './gcp-client.ts';
import { readKmsVersion, readPrimaryVersion } from './gcp-kms-version.ts';
import { DamagedAnswer, type GcpFailure, type GcpService } from './gcp-errors.ts';
import type { SecretAccess } from './read-secret.ts';
import type { WrapperReference } from './secret-reference.ts';
import { toDataKey } from './to-data-key.ts';

const algorithm = 'GOOGLE_SYMMETRIC_ENCRYPTION';

export const kms: GcpService = {
  title: 'Cloud KMS',
  endpoint: 'https://cloudkms.googleapis.com',
  endpointVariable: 'LIBRELOG_BACKUP_GCP_KMS_ENDPOINT',
  roleHint:
    'Give the account the role Cloud KMS CryptoKey Encrypter (to wrap) or Decrypter (to unwrap) on the key, or correct its name.',
  missing: {
    kind: 'key',
    reason: 'there is no such key or version',
    hint: 'Correct the project, location, key ring, key or version.',
  },
  meaningOf: meaningOfKmsRefusal,
};

/**
 * `gcp-kms:projects/P/locations/L/keyRings/R/cryptoKeys/K`: a symmetric key of Google Cloud KMS, bound to the backup by
 * additional authenticated data. Wraps with the primary version of the key, or the one that the reference names. Needs
 * `cloudkms.cryptoKeyVersions.useToEncrypt` to wrap and `…useToDecrypt` to unwrap; with `cloudkms.cryptoKeys.get` it knows
 * the age of the primary version. Everything goes with CRC-32C checksums (Cloud KMS documentation, "Verifying end-to-end
 * data integrity"). Errors: `config`.
 */
export async function openGcpKms(reference: WrapperReference, access: SecretAccess): Promise<KeyWrapper> {
  const { version } = reference;
  if (version !== undefined && !/^\d+$/.test(version)) {
    throw new BackupError('config', `${reference.text} has a version that is not a number`, {
      hint: 'Write the number of a key version, or leave "@" out for the primary one.',
    });
  }
  return await Promise.resolve(new GcpKmsWrapper(reference, access));
}

class GcpKmsWrapper implements KeyWrapper {
  readonly name: string;
  readonly #key: string;
  readonly #version: string | undefined;
  readonly #client: GcpClient;
  readonly #signal: AbortSignal | undefined;

  constructor(reference: WrapperReference, { env, signal }: SecretAccess) {
    this.name = reference.text;
    this.#key = reference.location;
    this.#version = reference.version;
    this.#client = new GcpClient(kms, env);
    this.#signal = signal;
  }

  async wrap(dataKey: Secret, context: WrapContext): Promise<WrappedKey> {
    const bytes = dataKey.reveal();
    const { wrapped, version } = await this.#client.call({
      action: `wrap a data key with ${this.name}`,
      method: 'POST',
      name: this.#version === undefined ? this.#key : this.#versionName(this.#version),
      verb: 'encrypt',
      body: {
        plaintext: toBase64(bytes),
        plaintextCrc32c: String(crc32c(bytes)),
        ...toAuthenticatedData(context),
      },
      read: readEncrypted,
      signal: this.#signal,
    });
    return { provider: 'gcp-kms', keyId: this.#key, keyVersion: version, algorithm, wrapped: toBase64(wrapped) };
  }

  async unwrap(wrapped: WrappedKey, context: WrapContext): Promise<Secret | null> {
    if (wrapped.provider !== 'gcp-kms' || wrapped.keyId !== this.#key) return null;
    const bytes = Buffer.from(wrapped.wrapped, 'base64');
    const ofVersion = wrapped.keyVersion === undefined ? '' : ` of version ${wrapped.keyVersion}`;
    const action = `unwrap a data key${ofVersion} with ${this.name}`;
    const plaintext = await this.#client.call({
      action,
      method: 'POST',
      // Decrypt takes the key only; which of its versions is in the ciphertext.
      name: this.#key,
      verb: 'decrypt',
      body: {
        ciphertext: toBase64(bytes),
        ciphertextCrc32c: String(crc32c(bytes)),
        ...toAuthenticatedData(context),
      },
      read: (answer) => readChecked(answer, 'plaintext', 'plaintextCrc32c'),
      signal: this.#signal,
    });
    return toDataKey(plaintext, action);
  }

  async createdAt(): Promise<Date | null> {
    const call = { action: `look up key ${this.name}`, method: 'GET', signal: this.#signal } as const;
    try {
      const version =
        this.#version === undefined
          ? await this.#client.call({ ...call, name: this.#key, read: readPrimaryVersion })
          : await this.#client.call({ ...call, name: this.#versionName(this.#version), read: readKmsVersion });
      return version?.createdAt ?? null;
    } catch {
      return null;
    }
  }

  #versionName(version: string): string {
    return `${this.#key}/cryptoKeyVersions/${version}`;
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]();
  }
}

function readEncrypted(answer: GcpAnswer): { readonly wrapped: Buffer; readonly version: string } {
  const version = readChildName(answer['name'], /\/cryptoKeys\/[^/]+\/cryptoKeyVersions\/(?<child>\d+)$/);
  const isVerified =
    answer['verifiedPlaintextCrc32c'] === true && answer['verifiedAdditionalAuthenticatedDataCrc32c'] === true;
  if (!isVerified) throw new DamagedAnswer('the service has not verified the checksums');
  return { wrapped: readChecked(answer, 'ciphertext', 'ciphertextCrc32c'), version };
}

/** What the wrapped key is bound to: canonical JSON (RFC 8785); part of the format. */
function toAuthenticatedData({ backupId, label }: WrapContext): Record<string, string> {
  const bytes = Buffer.from(canonicalize({ 'backup-id': backupId, 'backup-label': label }) ?? '');
  return {
    additionalAuthenticatedData: toBase64(bytes),
    additionalAuthenticatedDataCrc32c: String(crc32c(bytes)),
  };
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

function meaningOfKmsRefusal({ status, message }: GcpFailure): Meaning | undefined {
  if (status === 'INVALID_ARGUMENT' && /decryption failed/i.test(message)) {
    return { kind: 'integrity', reason: 'the wrapped data key was changed, or belongs to another backup or key' };
  }
  if (status === 'INVALID_ARGUMENT' && /checksum|crc32c/i.test(message)) {
    return { kind: 'integrity', reason: 'it arrived damaged at Cloud KMS' };
  }
  return status === 'FAILED_PRECONDITION' ? meaningOfState(message) : undefined;
}

/** ".../cryptoKeyVersions/1 is not enabled, current state is: DISABLED." */
function meaningOfState(message: string): Meaning | undefined {
  const { version, state } =
    /cryptoKeyVersions\/(?<version>\d+) is not enabled, current state is: (?<state>[A-Z_]+)/.exec(message)?.groups ??
    {};
  if (version === undefined || state === undefined) return undefined;
  const hint = stateHints[state] ?? 'Look at the state of the key version in Cloud KMS.';
  return { kind: 'key', reason: `version ${version} of the key is ${state.toLowerCase().replace('_', ' ')}`, hint };
}

const stateHints: Readonly<Record<string, string>> = {
  DISABLED: 'Enable the key version in Cloud KMS.',
  DESTROY_SCHEDULED: 'Restore the key version in Cloud KMS and enable it, before it is destroyed.',
  DESTROYED: 'Open the backup with another of its keys, such as the recovery key.',
};
