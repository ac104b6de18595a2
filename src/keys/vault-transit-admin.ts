import { BackupError } from '../core/backup-error.ts';
import type { KeyAdmin, KeyVersion } from './key-admin.ts';
import type { SecretAccess } from './read-secret.ts';
import { refusePinnedKey } from './refuse-pinned-key.ts';
import { assertNotActive } from './secret-key-admin.ts';
import type { WrapperReference } from './secret-reference.ts';
import { openVaultClient, type VaultClient } from './vault-client.ts';
import { toRecord, type VaultAnswer, type VaultRequest } from './vault-http.ts';
import { algorithm } from './vault-transit-wrapper.ts';

/**
 * The versions of a key of Vault's transit engine. Needs `read` on MOUNT/keys/KEY to list, `create` and `update` on it to
 * generate, `update` on MOUNT/keys/KEY/rotate to rotate, and `update` on MOUNT/keys/KEY/config and …/trim to destroy.
 */
export async function openVaultTransitAdmin(reference: WrapperReference, access: SecretAccess): Promise<KeyAdmin> {
  refusePinnedKey(reference);
  return new VaultTransitAdmin(reference, await openVaultClient(access.env), access.signal);
}

class VaultTransitAdmin implements KeyAdmin {
  readonly name: string;
  readonly #keyId: string;
  readonly #path: string;
  readonly #client: VaultClient;
  readonly #signal: AbortSignal | undefined;

  constructor({ text, location }: WrapperReference, client: VaultClient, signal: AbortSignal | undefined) {
    this.name = text;
    this.#keyId = client.namespace === '' ? location : `${client.namespace}/${location}`;
    const slash = location.lastIndexOf('/');
    this.#path = `${location.slice(0, slash)}/keys/${location.slice(slash + 1)}`;
    this.#client = client;
    this.#signal = signal;
  }

  async list(): Promise<readonly KeyVersion[]> {
    const answer = await this.#send('list the versions of', { method: 'GET', path: this.#path });
    if (answer.status === 404) throw this.#missing('list the versions of');
    return this.#toVersions(answer.data);
  }

  /** Vault leaves a key alone that is there already, and calls that a success: two at once make one key. */
  async generate(): Promise<KeyVersion> {
    const existing = await this.#send('look up', { method: 'GET', path: this.#path });
    if (existing.status !== 404) {
      throw new BackupError('conflict', `there is a key ${this.name} already`, {
        hint: 'Rotate it, or give another reference.',
      });
    }
    await this.#send('make', { method: 'POST', path: this.#path, body: { type: algorithm } });
    return await this.#readActive('make');
  }

  async rotate(): Promise<KeyVersion> {
    // Vault makes a missing key where it is to rotate one.
    await this.#readActive('rotate');
    await this.#send('rotate', { method: 'POST', path: `${this.#path}/rotate`, body: {} });
    return await this.#readActive('rotate');
  }

  /** Vault can only trim: the oldest version goes first. */
  async destroy({ version }: KeyVersion): Promise<void> {
    const answer = await this.#send('look up', { method: 'GET', path: this.#path });
    if (answer.status === 404) throw this.#missing('destroy a version of');
    const versions = this.#toVersions(answer.data);
    const found = versions.find((other) => other.version === version);
    if (found === undefined) throw new BackupError('key', `key ${this.name} has no version ${version ?? ''}`);
    assertNotActive(found, versions, this.name);
    this.#assertOldest(found, versions);
    const next = Number(version) + 1;
    const atLeast = (name: string): number => Math.max(next, Number(answer.data[name] ?? 0));
    const bounds = {
      min_decryption_version: atLeast('min_decryption_version'),
      min_encryption_version: atLeast('min_encryption_version'),
    };
    await this.#send('destroy a version of', { method: 'POST', path: `${this.#path}/config`, body: bounds });
    const trim = { min_available_version: next };
    await this.#send('destroy a version of', { method: 'POST', path: `${this.#path}/trim`, body: trim });
  }

  [Symbol.dispose](): void {}

  #assertOldest(version: KeyVersion, versions: readonly KeyVersion[]): void {
    const older = versions.slice(0, versions.indexOf(version)).map((other) => other.version);
    if (older.length > 0) {
      throw new BackupError('usage', `Vault destroys versions of ${this.name} in order, and has older ones still`, {
        hint: `Destroy ${older.join(', ')} first.`,
      });
    }
    if (versions.length > 1) return;
    throw new BackupError('usage', `version ${version.version ?? ''} is all that ${this.name} has`, {
      hint: 'Delete the whole key in Vault, with deletion_allowed set.',
    });
  }

  /** Vault leaves out the versions that are disabled, below `min_decryption_version`. */
  #toVersions(data: VaultAnswer['data']): readonly KeyVersion[] {
    const times = toRecord(data['keys']);
    const latest = Number(data['latest_version']);
    const oldest = Math.max(1, Number(data['min_available_version'] ?? 0));
    return Array.from({ length: latest - oldest + 1 }, (_, index) => {
      const version = String(oldest + index);
      const seconds = times[version];
      const state = Number(version) === latest ? 'active' : 'retired';
      return {
        keyId: this.#keyId,
        version,
        createdAt: typeof seconds === 'number' ? new Date(seconds * 1000) : null,
        state: seconds === undefined ? 'disabled' : state,
      };
    });
  }

  async #readActive(verb: string): Promise<KeyVersion> {
    const answer = await this.#send(verb, { method: 'GET', path: this.#path });
    if (answer.status === 404) throw this.#missing(verb);
    const active = this.#toVersions(answer.data).at(-1);
    if (active !== undefined) return active;
    throw new BackupError('key', `cannot ${verb} key ${this.name}: what Vault answers is not a key`);
  }

  #missing(verb: string): BackupError {
    return new BackupError('key', `cannot ${verb} key ${this.name}: there is no such key`, {
      hint: 'Correct the mount or the key, or make it with `librelog-backup keys generate`.',
    });
  }

  /** Gives a success, or 404 of a GET. */
  async #send(verb: string, request: VaultRequest): Promise<VaultAnswer> {
    const action = `${verb} key ${this.name}`;
    const answer = await this.#client.call({ ...request, action, signal: this.#signal });
    const isSuccess = answer.status >= 200 && answer.status < 300;
    if (isSuccess || (answer.status === 404 && request.method === 'GET')) return answer;
    throw new BackupError('key', `cannot ${action}: ${answer.errors.join('; ') || `HTTP ${answer.status}`}`);
  }
}
