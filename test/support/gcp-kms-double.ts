import type { JsonAnswer } from './json-exchange.ts';
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { castagnoli, GcpRestDouble, googleError, type RestRequest } from './gcp-rest-double.ts';

export type VersionState = 'PENDING_GENERATION' | 'ENABLED' | 'DISABLED' | 'DESTROY_SCHEDULED' | 'DESTROYED';

interface KeyVersion {
  readonly key: Buffer;
  readonly createTime: string;
  state: VersionState;
}

const requestFields: Readonly<Record<string, readonly string[]>> = {
  encrypt: ['plaintext', 'plaintextCrc32c', 'additionalAuthenticatedData', 'additionalAuthenticatedDataCrc32c'],
  decrypt: ['ciphertext', 'ciphertextCrc32c', 'additionalAuthenticatedData', 'additionalAuthenticatedDataCrc32c'],
};

/** So that a test need not make hundreds of versions to get a second page. */
const pageSize = 2;

/**
 * Cloud KMS (REST reference, v1) with one key, `keyName`: Encrypt and Decrypt, GetCryptoKey, CreateCryptoKey (of that very
 * key, once it is removed), UpdateCryptoKeyPrimaryVersion, and Create, Get, List and DestroyCryptoKeyVersion. Ciphertexts are AES-256-GCM with the additional authenticated data, behind the number of their version.
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
  /** Whether the account may do more than encrypt and decrypt. */
  isAdministrator = true;
  /** What new versions are, until they have been looked at once. */
  firstState: VersionState = 'ENABLED';
  /** Its number. */
  primary = 0;
  labels: unknown;
  /** In how many of the next cases to make a key or a version and fail to say so. */
  loseAnswers = 0;
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

  /** Makes a new version the primary one. */
  addVersion(): void {
    this.#makeVersion('ENABLED');
    this.primary = this.versions.length;
  }

  removeKey(): void {
    this.versions.length = 0;
    this.primary = 0;
  }

  #makeVersion(state: VersionState): void {
    this.versions.push({ key: randomBytes(32), createTime: new Date().toISOString().replace('Z', '000123Z'), state });
  }

  setState(version: number, state: VersionState): void {
    const found = this.versions[version - 1];
    if (found !== undefined) found.state = state;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rest[Symbol.asyncDispose]();
  }

  #handle(request: RestRequest): JsonAnswer {
    return /:(en|de)crypt$/.test(request.path) ? this.#use(request) : this.#administer(request);
  }

  #administer({ method, path, query, body }: RestRequest): JsonAnswer {
    if (!this.isAdministrator) return googleError('PERMISSION_DENIED', `Permission denied on resource '${path}'.`);
    const keyRing = `/v1/${this.keyName.replace(/\/cryptoKeys\/.*$/, '')}`;
    const { number, verb, rest, isKnown } = this.#locate(path);
    const calls: Readonly<Record<string, () => JsonAnswer>> = {
      'GET ': () => ({ status: 200, body: this.#describeKey() }),
      'POST :updatePrimaryVersion': () => this.#updatePrimary(Number(body['cryptoKeyVersionId'])),
      'GET /cryptoKeyVersions': () => this.#list(Number(query['pageToken'] ?? 0)),
      'POST /cryptoKeyVersions': () => this.#createVersion(body),
      'GET /cryptoKeyVersions/N': () => this.#getVersion(number),
      'POST /cryptoKeyVersions/N:destroy': () => this.#destroyVersion(number),
    };
    if (method === 'POST' && path === `${keyRing}/cryptoKeys`) return this.#create(query['cryptoKeyId'] ?? '', body);
    if (!isKnown) return googleError('NOT_FOUND', `CryptoKey ${path} not found.`);
    const call = calls[`${method} ${number === 0 ? rest : `/cryptoKeyVersions/N${verb}`}`];
    return call?.() ?? { status: 404, body: '<html>Not Found</html>' };
  }

  /** What of the key a path leads to. */
  #locate(path: string): { readonly number: number; readonly verb: string; readonly rest: string; isKnown: boolean } {
    const key = `/v1/${this.keyName}`;
    const rest = path.startsWith(key) ? path.slice(key.length) : '';
    const { number = '0', verb = '' } = /^\/cryptoKeyVersions\/(?<number>\d+)(?<verb>:\w+)?$/.exec(rest)?.groups ?? {};
    const isKnown = /^($|[/:])/.test(rest) && path.startsWith(key) && this.versions.length > 0;
    return { number: Number(number), verb, rest, isKnown };
  }

  #create(id: string, { purpose, labels, ...others }: RestRequest['body']): JsonAnswer {
    if (purpose !== 'ENCRYPT_DECRYPT' || Object.keys(others).length > 0 || !this.keyName.endsWith(`/${id}`)) {
      return googleError('INVALID_ARGUMENT', 'The request is not valid.');
    }
    if (this.versions.length > 0) return googleError('ALREADY_EXISTS', `CryptoKey ${this.keyName} already exists.`);
    this.labels = labels;
    this.addVersion();
    return this.#tell(this.#describeKey());
  }

  #describeKey(): object {
    const primary = this.primary === 0 ? {} : { primary: this.#describeVersion(this.primary) };
    return { name: this.keyName, purpose: 'ENCRYPT_DECRYPT', labels: this.labels, ...primary };
  }

  #describeVersion(number: number): object {
    const { createTime, state } = this.versions[number - 1] ?? {};
    return { name: `${this.keyName}/cryptoKeyVersions/${number}`, createTime, state, protectionLevel: 'SOFTWARE' };
  }

  #updatePrimary(number: number): JsonAnswer {
    const refusal = this.#refusalOf(number);
    if (refusal !== undefined) return refusal;
    this.primary = number;
    return { status: 200, body: this.#describeKey() };
  }

  #list(start: number): JsonAnswer {
    const next = start + pageSize;
    const numbers = this.versions.map((_, index) => index + 1);
    const page = numbers.slice(start, next).map((number) => this.#describeVersion(number));
    const nextPageToken = next < numbers.length ? { nextPageToken: String(next) } : {};
    return { status: 200, body: { cryptoKeyVersions: page, totalSize: numbers.length, ...nextPageToken } };
  }

  #createVersion(body: RestRequest['body']): JsonAnswer {
    if (Object.keys(body).length > 0) return googleError('INVALID_ARGUMENT', 'The request is not valid.');
    this.#makeVersion(this.firstState);
    return this.#tell(this.#describeVersion(this.versions.length));
  }

  /** Tells what was made, unless the answer gets lost. */
  #tell(body: object): JsonAnswer {
    if (this.loseAnswers-- > 0) return googleError('UNAVAILABLE', 'The service is currently unavailable.');
    return { status: 200, body };
  }

  #getVersion(number: number): JsonAnswer {
    const version = this.versions[number - 1];
    if (version === undefined) return this.#notFound(number);
    if (version.state === 'PENDING_GENERATION') version.state = 'ENABLED';
    return { status: 200, body: this.#describeVersion(number) };
  }

  #destroyVersion(number: number): JsonAnswer {
    const version = this.versions[number - 1];
    if (version === undefined) return this.#notFound(number);
    if (version.state !== 'ENABLED' && version.state !== 'DISABLED') {
      return googleError('FAILED_PRECONDITION', `CryptoKeyVersion ${number} is in state ${version.state}.`);
    }
    version.state = 'DESTROY_SCHEDULED';
    return { status: 200, body: this.#describeVersion(number) };
  }

  #use({ method, path, body }: RestRequest): JsonAnswer {
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
    if (verb === 'encrypt') return this.#encrypt(body, version === undefined ? this.primary : Number(version));
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
        usedPrimary: version === this.primary,
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
