import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { BackupError } from '../core/backup-error.ts';
import { readPage } from './gcp-checked.ts';
import { GcpClient, type GcpAnswer, type GcpCall } from './gcp-client.ts';
import { isGcpFailure } from './gcp-errors.ts';
import { kms } from './gcp-kms-wrapper.ts';
import { readKmsVersion, readPrimaryVersion, type KmsVersion } from './gcp-kms-version.ts';
import type { KeyAdmin, KeyVersion } from './key-admin.ts';
import type { SecretAccess } from './read-secret.ts';
import { assertNotActive } from './secret-key-admin.ts';
import { refusePinnedKey } from './refuse-pinned-key.ts';
import type { WrapperReference } from './secret-reference.ts';

const service = { ...kms, roleHint: 'Give the account the role Cloud KMS Admin on the key, or on the key ring.' };
/** A label of ours, by which a key is known to be our own when the answer that it was made is lost. */
const requestLabel = 'librelog-backup-request';
/** Software keys are there at once; an HSM takes some seconds. */
const generationPolls = 60;
const pollDelayMs = 1_000;

/**
 * The versions of a key of Google Cloud KMS. Needs `cloudkms.cryptoKeys.get` and `cloudkms.cryptoKeyVersions.list` to
 * list, `cloudkms.cryptoKeys.create` to generate (in a key ring that is there), `cloudkms.cryptoKeyVersions.list`,
 * `….create`, `….get` and `cloudkms.cryptoKeys.update` to rotate, and what list needs and
 * `cloudkms.cryptoKeyVersions.destroy` to destroy. A version that is scheduled for destruction opens nothing and counts as destroyed, but can be restored for as
 * long as the key says (30 days by default).
 */
export async function openGcpKmsAdmin(reference: WrapperReference, access: SecretAccess): Promise<KeyAdmin> {
  return await Promise.resolve(new GcpKmsAdmin(reference, access));
}

class GcpKmsAdmin implements KeyAdmin {
  readonly name: string;
  readonly #reference: WrapperReference;
  readonly #key: string;
  readonly #client: GcpClient;
  readonly #signal: AbortSignal | undefined;

  constructor(reference: WrapperReference, { env, signal }: SecretAccess) {
    this.name = reference.text;
    this.#reference = reference;
    this.#key = reference.location;
    this.#client = new GcpClient(service, env);
    this.#signal = signal;
  }

  async list(): Promise<readonly KeyVersion[]> {
    const primary = await this.#call('look up key', { method: 'GET', name: this.#key, read: readPrimaryVersion });
    return (await this.#listVersions()).map((version) => this.#toKeyVersion(version, primary?.number));
  }

  async generate(): Promise<KeyVersion> {
    refusePinnedKey(this.#reference);
    const [keyRing = '', cryptoKeyId = ''] = this.#key.split('/cryptoKeys/');
    const request = randomBytes(8).toString('hex');
    try {
      await this.#call('make key', {
        method: 'POST',
        name: `${keyRing}/cryptoKeys`,
        query: { cryptoKeyId },
        body: { purpose: 'ENCRYPT_DECRYPT', labels: { [requestLabel]: request } },
        read: () => {},
      });
    } catch (error) {
      if (!isGcpFailure(error, 'ALREADY_EXISTS') || (await this.#findRequest()) !== request) throw error;
    }
    const primary = await this.#call('look up key', { method: 'GET', name: this.#key, read: readPrimaryVersion });
    if (primary !== null) return this.#toKeyVersion(primary, primary.number);
    return { keyId: this.#key, version: '1', createdAt: null, state: 'active' };
  }

  async rotate(): Promise<KeyVersion> {
    refusePinnedKey(this.#reference);
    const before = new Set((await this.#listVersions()).map(({ number }) => number));
    const made = await this.#call('make a new version of key', {
      method: 'POST',
      name: `${this.#key}/cryptoKeyVersions`,
      body: {},
      read: readKmsVersion,
      findOutcome: async () => (await this.#listVersions()).findLast(({ number }) => !before.has(number)),
    });
    const version = await this.#awaitEnabled(made);
    await this.#call('make a new version the primary one of key', {
      method: 'POST',
      name: this.#key,
      verb: 'updatePrimaryVersion',
      body: { cryptoKeyVersionId: version.number },
      read: () => {},
    });
    return this.#toKeyVersion(version, version.number);
  }

  async destroy({ version }: KeyVersion): Promise<void> {
    const versions = await this.list();
    const found = versions.find((other) => other.version === version);
    if (found === undefined) throw new BackupError('key', `key ${this.name} has no version ${version}`);
    assertNotActive(found, versions, this.name);
    await this.#call('destroy a version of key', {
      method: 'POST',
      name: `${this.#key}/cryptoKeyVersions/${version}`,
      verb: 'destroy',
      body: {},
      read: readKmsVersion,
    });
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]();
  }

  /** Oldest first. */
  async #listVersions(): Promise<readonly KmsVersion[]> {
    const found: KmsVersion[] = [];
    let token = '';
    do {
      const { versions, next } = await this.#call('list the versions of key', {
        method: 'GET',
        name: `${this.#key}/cryptoKeyVersions`,
        ...(token !== '' && { query: { pageToken: token } }),
        read: readVersions,
      });
      found.push(...versions);
      token = next;
    } while (token !== '');
    return found.toSorted((one, other) => Number(one.number) - Number(other.number));
  }

  async #awaitEnabled(made: KmsVersion): Promise<KmsVersion> {
    let version = made;
    for (let poll = 1; version.state === 'PENDING_GENERATION' && poll <= generationPolls; poll++) {
      await sleep(pollDelayMs, undefined, this.#signal === undefined ? {} : { signal: this.#signal }).catch(() => {});
      version = await this.#call('look up the new version of key', {
        method: 'GET',
        name: `${this.#key}/cryptoKeyVersions/${made.number}`,
        read: readKmsVersion,
      });
    }
    if (version.state === 'ENABLED') return version;
    const state = version.state.toLowerCase().replaceAll('_', ' ');
    throw new BackupError('key', `cannot rotate key ${this.name}: its new version ${version.number} is ${state}`, {
      hint: 'Make it the primary version when it is enabled, or rotate again.',
    });
  }

  async #findRequest(): Promise<unknown> {
    return await this.#call('look up key', {
      method: 'GET',
      name: this.#key,
      read: ({ labels }) => (labels as GcpAnswer | undefined)?.[requestLabel],
    });
  }

  #toKeyVersion({ number, createdAt, state }: KmsVersion, primary: string | undefined): KeyVersion {
    return { keyId: this.#key, version: number, createdAt, state: toState(state, number === primary) };
  }

  async #call<Result>(verb: string, call: Omit<GcpCall<Result>, 'action' | 'signal'>): Promise<Result> {
    return await this.#client.call({ ...call, action: `${verb} ${this.name}`, signal: this.#signal });
  }
}

function readVersions(answer: GcpAnswer): { readonly versions: KmsVersion[]; readonly next: string } {
  const { items, next } = readPage(answer, 'cryptoKeyVersions');
  return { versions: items.map(readKmsVersion), next };
}

/** CryptoKeyVersionState, in Cloud KMS's REST reference. */
function toState(state: string, isPrimary: boolean): KeyVersion['state'] {
  if (state === 'ENABLED') return isPrimary ? 'active' : 'retired';
  return /^DESTROY|EXTERNAL_DESTRUCTION/.test(state) ? 'destroyed' : 'disabled';
}
