import { randomBytes } from 'node:crypto';
import { BackupError } from '../core/backup-error.ts';
import { Secret } from '../core/secret.ts';
import { listJsonFields, selectJsonField, setJsonField } from './json-field.ts';
import type { KeyAdmin, KeyVersion } from './key-admin.ts';
import { toKeyId } from './key-id.ts';
import { parseKeyMaterial } from './key-material.ts';
import { isKeyringText, parseKeyringText } from './keyring.ts';
import { refusePinnedKey } from './refuse-pinned-key.ts';
import type { SecretReference } from './secret-reference.ts';

/** A version of a secret, as its service tells of it. */
export interface SecretVersion extends Pick<KeyVersion, 'createdAt' | 'state'> {
  readonly version: string;
}

/** One secret in a service that keeps versions of secrets. Fails as `KeyAdmin` does. */
export interface VersionedSecret extends Disposable {
  /** Those that the service still tells of, in any order. */
  listVersions(): Promise<readonly SecretVersion[]>;
  /** The whole of a version, or of the current one. `null`: there is no such version, or not even the secret. */
  read(version?: string): Promise<Secret | null>;
  /** Makes the secret, or the first version of one that has none yet. Fails with `conflict` when it has one. */
  create(content: Secret): Promise<SecretVersion>;
  /** Makes a new version the current one. */
  add(content: Secret): Promise<SecretVersion>;
  /** Fails with `usage` where the service cannot do that. */
  destroy(version: KeyVersion): Promise<void>;
}

/**
 * Looks after a raw key in a secret, or in one field of it: the versions of the secret are those of the key. The other
 * fields stay as they are. Versions without that field, and ones that never were a key, are none of the key's.
 *
 * A keyring in such a secret has versions of its own, which are listed. It is not changed here: these services do not all
 * let one writer notice another, and the key that one of them adds would be lost.
 */
export class SecretKeyAdmin implements KeyAdmin {
  readonly name: string;
  readonly #reference: SecretReference;
  readonly #field: string | undefined;
  readonly #secret: VersionedSecret;

  constructor(reference: SecretReference, secret: VersionedSecret) {
    this.name = reference.text;
    this.#reference = reference;
    this.#field = reference.field;
    this.#secret = secret;
  }

  async list(): Promise<readonly KeyVersion[]> {
    const found: KeyVersion[] = [];
    for (const version of (await this.#secret.listVersions()).toSorted(compareAge)) {
      found.push(...(await this.#identify(version)));
    }
    if (found.length === 0) throw this.#missing('list the versions of');
    return withFirstDates(found);
  }

  async generate(): Promise<KeyVersion> {
    refusePinnedKey(this.#reference);
    using content = await this.#secret.read();
    using key = new Secret(randomBytes(32));
    using changed = this.#withKey(content, key);
    if (content === null) return toActive(key, await this.#secret.create(changed));
    if (this.#hasKey(content)) {
      throw new BackupError('conflict', `there is a key in ${this.name} already`, {
        hint: 'Rotate it, or give another reference.',
      });
    }
    return toActive(key, await this.#secret.add(changed));
  }

  async rotate(): Promise<KeyVersion> {
    refusePinnedKey(this.#reference);
    using content = await this.#secret.read();
    if (content === null) throw this.#missing('rotate');
    this.#assertPlainKey(content);
    using key = new Secret(randomBytes(32));
    using changed = this.#withKey(content, key);
    return toActive(key, await this.#secret.add(changed));
  }

  async destroy(version: KeyVersion): Promise<void> {
    await this.#secret.destroy(version);
  }

  [Symbol.dispose](): void {
    this.#secret[Symbol.dispose]();
  }

  async #identify(version: SecretVersion): Promise<readonly KeyVersion[]> {
    if (version.state === 'disabled' || version.state === 'destroyed') return [{ ...version, keyId: null }];
    using content = await this.#secret.read(version.version);
    if (content === null) return [];
    try {
      using text = this.#select(content);
      return this.#toKeyVersions(text, version);
    } catch (error) {
      if (version.state === 'active') throw error;
      return [];
    }
  }

  #toKeyVersions(text: Secret, version: SecretVersion): readonly KeyVersion[] {
    if (!isKeyringText(text)) {
      using key = parseKeyMaterial(text, this.name);
      return [{ ...version, keyId: toKeyId(key) }];
    }
    if (version.state !== 'active') return [];
    using keyring = parseKeyringText(text, this.name);
    return keyring.keys.map(({ id, state, createdAt }) => {
      return { keyId: id, version: id, createdAt: createdAt === null ? null : new Date(createdAt), state };
    });
  }

  /** A copy of the secret's text that the reference stands for. */
  #select(content: Secret): Secret {
    const copy = new Secret(Uint8Array.from(content.reveal()));
    return this.#field === undefined ? copy : selectJsonField(copy, this.#field, this.name);
  }

  #hasKey(content: Secret): boolean {
    return this.#field === undefined || listJsonFields(content, this.name).includes(this.#field);
  }

  /** Whoever mistypes a reference must not lose a password to a random key. */
  #assertPlainKey(content: Secret): void {
    using text = this.#select(content);
    if (isKeyringText(text)) {
      throw new BackupError('usage', `${this.name} is a keyring, whose keys are not changed in this place`, {
        hint: 'Keep a plain key there, whose versions the service keeps, or the keyring in a file.',
      });
    }
    parseKeyMaterial(text, this.name)[Symbol.dispose]();
  }

  #withKey(content: Secret | null, key: Secret): Secret {
    const value = Buffer.from(key.reveal()).toString('base64');
    if (this.#field === undefined) return Secret.fromText(value);
    return setJsonField(content ?? Secret.fromText('{}'), { field: this.#field, value, name: this.name });
  }

  #missing(action: string): BackupError {
    return new BackupError('key', `cannot ${action} ${this.name}: there is no key`, {
      hint: 'Correct the reference, or make a key with `librelog-backup keys generate`.',
    });
  }
}

function toActive(key: Secret, version: SecretVersion): KeyVersion {
  return { ...version, keyId: toKeyId(key), state: 'active' };
}

/** Oldest first; of two that were made at the same time, the active one is the newer. */
export function compareAge(one: Omit<KeyVersion, 'keyId'>, other: Omit<KeyVersion, 'keyId'>): number {
  const [first, second] = [one, other].map(({ createdAt }) => createdAt?.getTime() ?? 0);
  return (first ?? 0) - (second ?? 0) || Number(one.state === 'active') - Number(other.state === 'active');
}

/** A key is as old as the first version that holds it, also where another field has made new versions since. */
function withFirstDates(versions: readonly KeyVersion[]): KeyVersion[] {
  return versions.map((version) => {
    const first = versions.find(({ keyId }) => keyId !== null && keyId === version.keyId);
    return { ...version, createdAt: (first ?? version).createdAt };
  });
}

/**
 * Fails unless a version of a secret can be destroyed and takes nothing with it but its key: with `key` when there is no
 * such version, with `conflict` for the active one of several, with `usage` where it holds other fields as well, which
 * another key may need in just this version.
 */
export async function assertDestroyable(
  secret: VersionedSecret,
  { field, text }: SecretReference,
  version: KeyVersion,
): Promise<void> {
  const versions = await secret.listVersions();
  const found = versions.find((other) => other.version === version.version);
  if (found === undefined) throw new BackupError('key', `secret ${text} has no version ${version.version}`);
  assertNotActive(found, versions, text);
  if (field === undefined) return;
  using content = found.state === 'disabled' ? null : await secret.read(found.version);
  if (content !== null && listJsonFields(content, text).every((name) => name === field)) return;
  throw new BackupError('usage', `version ${found.version} of ${text} may hold more than this key`, {
    hint: 'Keep each key in a secret of its own, or destroy the version where it is kept.',
  });
}

type VersionState = Pick<KeyVersion, 'state' | 'version'>;

/** Fails with `conflict` when a version encrypts, and older ones remain that do not. */
export function assertNotActive(version: VersionState, all: readonly VersionState[], name: string): void {
  const isAlone = all.every((other) => other.version === version.version || other.state === 'destroyed');
  if (version.state !== 'active' || isAlone) return;
  throw new BackupError('conflict', `version ${version.version} of ${name} is the active one`, {
    hint: 'Rotate the key first, and wrap anew what needs this version.',
  });
}

/** The failure where a service cannot destroy one version of a secret or key. */
export function noDestruction(name: string, hint: string): BackupError {
  return new BackupError('usage', `one version of ${name} cannot be destroyed in this service`, { hint });
}
