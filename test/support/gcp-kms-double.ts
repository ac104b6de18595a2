import type { JsonAnswer } from './json-exchange.ts';
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { castagnoli, GcpRestDouble, googleError, type RestRequest } from './gcp-rest-double.ts';

export type VersionState = 'ENABLED' | 'DISABLED' | 'DESTROY_SCHEDULED' | 'DESTROYED';

interface KeyVersion {
  readonly key: Buffer;
  state: VersionState;
}

const requestFields: Readonly<Record<string, readonly string[]>> = {
  encrypt: ['plaintext', 'plaintextCrc32c', 'additionalAuthenticatedData', 'additionalAuthenticatedDataCrc32c'],
  decrypt: ['ciphertext', 'ciphertextCrc32c', 'additionalAuthenticatedData', 'additionalAuthenticatedDataCrc32c'],
};

/**
 * Encrypt and Decrypt of Cloud KMS (REST reference, v1) with one key, `keyName`, whose newest version is its primary one.
 * Ciphertexts are AES-256-GCM with the additional authenticated data, behind the number of their version.
 */
export class GcpKmsDouble implements AsyncDisposable {
  readonly keyName = 'projects/test-project/locations/europe-west1/keyRings/backup/cryptoKeys/data';
  readonly versions: KeyVersion[] = [];
  /** The field to flip a bit of in the next answers, and in how many; its checksum stays. */
  damage: { field: string; times: number } = { field: '', times: 0 };
  /** How many of the next answers say that no checksum was verified, as if none had arrived. */
  unverified = 0;
  /** Whether the account may use the key. */
  isPermitted = true;
  #rest: GcpRestDouble | undefined;

  static async start(folder: string): Promise<GcpKmsDouble> {
    const double = new GcpKmsDouble();
    double.#rest = await GcpRestDouble.start(folder, (request) => double.#handle(request));
    double.addVersion();
    return double;
  }

  get rest(): GcpRestDouble {
    if (this.#rest === undefined) throw new Error('not started');
    return this.#rest;
  }

  addVersion(): void {
    this.versions.push({ key: randomBytes(32), state: 'ENABLED' });
  }

  setState(version: number, state: VersionState): void {
    const found = this.versions[version - 1];
    if (found !== undefined) found.state = state;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rest[Symbol.asyncDispose]();
  }

  #handle({ method, path, body }: RestRequest): JsonAnswer {
    const {
      name = '',
      version,
      verb = '',
    } = /^\/v1\/(?<name>projects\/[^:]*\/cryptoKeys\/[^/:]+)(?:\/cryptoKeyVersions\/(?<version>\d+))?:(?<verb>\w+)$/.exec(
      path,
    )?.groups ?? {};
    const fields = requestFields[verb];
    if (method !== 'POST' || fields === undefined) return { status: 404, body: '<html>Not Found</html>' };
    const refusal = this.#problemOf(name, body, fields);
    if (refusal !== undefined) return refusal;
    if (verb === 'encrypt') return this.#encrypt(body, version === undefined ? this.versions.length : Number(version));
    return version === undefined ? this.#decrypt(body) : googleError('INVALID_ARGUMENT', 'name is not a CryptoKey.');
  }

  #problemOf(name: string, body: RestRequest['body'], fields: readonly string[]): JsonAnswer | undefined {
    const unknown = Object.keys(body).find((field) => !fields.includes(field));
    if (unknown !== undefined) return googleError('INVALID_ARGUMENT', `Unknown name "${unknown}": Cannot find field.`);
    if (!this.isPermitted) {
      return googleError('PERMISSION_DENIED', `Permission denied on resource '${name}' (or it may not exist).`);
    }
    if (name !== this.keyName) return googleError('NOT_FOUND', `CryptoKey ${name} not found.`);
    const wrong = fields.find((field) => `${field}Crc32c` in body && !fitsChecksum(body, field));
    if (wrong === undefined) return undefined;
    const text = `The checksum in field ${wrong}_crc32c did not match the data in field ${wrong}.`;
    return googleError('INVALID_ARGUMENT', text);
  }

  #encrypt(body: RestRequest['body'], version: number): JsonAnswer {
    const refusal = this.#refusalOf(version);
    const { key } = this.versions[version - 1] ?? {};
    if (refusal !== undefined || key === undefined) return refusal ?? this.#notFound(version);
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', key, nonce);
    cipher.setAAD(bytesOf(body, 'additionalAuthenticatedData'));
    const encrypted = Buffer.concat([cipher.update(bytesOf(body, 'plaintext')), cipher.final()]);
    const ciphertext = Buffer.concat([Buffer.from([version]), nonce, encrypted, cipher.getAuthTag()]);
    const isVerified = this.unverified-- <= 0;
    return this.#answer({
      name: `${this.keyName}/cryptoKeyVersions/${version}`,
      ciphertext: ciphertext.toString('base64'),
      ciphertextCrc32c: castagnoli(ciphertext),
      ...(isVerified && 'plaintextCrc32c' in body && { verifiedPlaintextCrc32c: true }),
      ...(isVerified &&
        'additionalAuthenticatedDataCrc32c' in body && { verifiedAdditionalAuthenticatedDataCrc32c: true }),
      protectionLevel: 'SOFTWARE',
    });
  }

  #decrypt(body: RestRequest['body']): JsonAnswer {
    const ciphertext = bytesOf(body, 'ciphertext');
    const version = ciphertext[0] ?? 0;
    const { key } = this.versions[version - 1] ?? {};
    if (key === undefined || ciphertext.byteLength < 29) {
      return googleError('INVALID_ARGUMENT', "Decryption failed: verify that 'name' refers to the correct CryptoKey.");
    }
    const refusal = this.#refusalOf(version);
    if (refusal !== undefined) return refusal;
    try {
      const decipher = createDecipheriv('aes-256-gcm', key, ciphertext.subarray(1, 13), { authTagLength: 16 });
      decipher.setAAD(bytesOf(body, 'additionalAuthenticatedData'));
      decipher.setAuthTag(ciphertext.subarray(-16));
      const plaintext = Buffer.concat([decipher.update(ciphertext.subarray(13, -16)), decipher.final()]);
      return this.#answer({
        plaintext: plaintext.toString('base64'),
        plaintextCrc32c: castagnoli(plaintext),
        usedPrimary: version === this.versions.length,
        protectionLevel: 'SOFTWARE',
      });
    } catch {
      return googleError('INVALID_ARGUMENT', 'Decryption failed: the ciphertext is invalid.');
    }
  }

  #refusalOf(version: number): JsonAnswer | undefined {
    const { state } = this.versions[version - 1] ?? {};
    if (state === undefined) return this.#notFound(version);
    const name = `${this.keyName}/cryptoKeyVersions/${version}`;
    if (state === 'ENABLED') return undefined;
    return googleError('FAILED_PRECONDITION', `${name} is not enabled, current state is: ${state}.`);
  }

  #notFound(version: number): JsonAnswer {
    return googleError('NOT_FOUND', `CryptoKeyVersion ${this.keyName}/cryptoKeyVersions/${version} not found.`);
  }

  #answer(body: Readonly<Record<string, unknown>>): JsonAnswer {
    const { field, times } = this.damage;
    if (times === 0 || !(field in body)) return { status: 200, body };
    this.damage = { field, times: times - 1 };
    const bytes = bytesOf(body, field);
    bytes[5] = (bytes[5] ?? 0) ^ 0x10;
    return { status: 200, body: { ...body, [field]: bytes.toString('base64') } };
  }
}

function bytesOf(body: Readonly<Record<string, unknown>>, field: string): Buffer {
  const { [field]: text } = body;
  return Buffer.from(typeof text === 'string' ? text : '', 'base64');
}

function fitsChecksum(body: Readonly<Record<string, unknown>>, field: string): boolean {
  return body[`${field}Crc32c`] === castagnoli(bytesOf(body, field));
}
