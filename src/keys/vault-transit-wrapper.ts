import canonicalize from 'canonicalize';
import { BackupError } from '../core/backup-error.ts';
import type { KeyWrapper, WrapContext } from '../core/key-wrapper.ts';
import type { Secret } from '../core/secret.ts';
import type { WrappedKey } from '../core/wrapped-key.ts';
import type { SecretAccess } from './read-secret.ts';
import type { WrapperReference } from './secret-reference.ts';
import { toDataKey } from './to-data-key.ts';
import { openVaultClient, type VaultClient } from './vault-client.ts';
import type { VaultAnswer } from './vault-http.ts';
import { describeRefusal, missingKey, type TransitKey, VaultTransitKey } from './vault-transit-key.ts';
import { transitAlgorithm as algorithm } from './vault-transit-key.ts';

/**
 * `vault-transit:MOUNT/KEY`: a key of Vault's transit secrets engine, of type aes256-gcm96, derived or not. Wraps with
 * its newest version, or the one that the reference names. `keyId` is the full path, NAMESPACE/MOUNT/KEY; `wrapped` is
 * the base64 of Vault's ciphertext (`vault:v3:…`). It is bound to the backup by associated data, and, where the key is
 * derived, by the context as well. Wrapping needs `read` on MOUNT/keys/KEY (encrypting would else create a key whose
 * name was mistyped) and `update` on MOUNT/encrypt/KEY; unwrapping needs `update` on MOUNT/decrypt/KEY. The token is
 * renewed until the wrapper is disposed of. Errors: `config`.
 */
export async function openVaultTransit(reference: WrapperReference, access: SecretAccess): Promise<KeyWrapper> {
  const { version, text } = reference;
  if (version !== undefined && !/^[1-9]\d{0,8}$/.test(version)) {
    throw new BackupError('config', `${text} has a version that is not a number`, {
      hint: 'Write the number of a key version, or leave "@" out for the newest one.',
    });
  }
  return new VaultTransitWrapper(reference, await openVaultClient(access.env), access.signal);
}

class VaultTransitWrapper implements KeyWrapper {
  readonly name: string;
  readonly #key: VaultTransitKey;
  readonly #version: string | undefined;
  readonly #held: Disposable;
  #usable: Promise<TransitKey> | undefined;

  constructor(reference: WrapperReference, client: VaultClient, signal: AbortSignal | undefined) {
    this.name = reference.text;
    this.#key = new VaultTransitKey(reference, client, signal);
    this.#version = reference.version;
    this.#held = client.hold();
  }

  async wrap(dataKey: Secret, context: WrapContext): Promise<WrappedKey> {
    const action = `wrap a data key with ${this.name}`;
    await this.#assertUsable(action);
    const body = {
      plaintext: toBase64(dataKey.reveal()),
      ...toBinding(context),
      ...(this.#version !== undefined && { key_version: Number(this.#version) }),
    };
    const answer = await this.#call(action, 'encrypt', body);
    const ciphertext = answer.data['ciphertext'];
    const keyVersion = typeof ciphertext === 'string' ? versionOf(ciphertext) : undefined;
    if (answer.status !== 200) throw describeRefusal(answer, action, this.#version);
    if (typeof ciphertext !== 'string' || keyVersion === undefined) {
      throw new BackupError('key', `cannot ${action}: what Vault answers is not a ciphertext`);
    }
    const wrapped = Buffer.from(ciphertext, 'latin1').toString('base64');
    return { provider: 'vault-transit', keyId: this.#key.id, keyVersion, algorithm, wrapped };
  }

  async unwrap(wrapped: WrappedKey, context: WrapContext): Promise<Secret | null> {
    if (wrapped.provider !== 'vault-transit' || wrapped.keyId !== this.#key.id) return null;
    const { keyVersion } = wrapped;
    const ofVersion = keyVersion === undefined ? '' : ` of version ${keyVersion}`;
    const action = `unwrap a data key${ofVersion} with ${this.name}`;
    const ciphertext = Buffer.from(wrapped.wrapped, 'base64').toString('latin1');
    if (versionOf(ciphertext) === undefined || versionOf(ciphertext) !== keyVersion) {
      throw new BackupError('integrity', `cannot ${action}: the wrapped data key was changed`);
    }
    const answer = await this.#call(action, 'decrypt', { ciphertext, ...toBinding(context) });
    if (answer.status !== 200) throw describeRefusal(answer, action, keyVersion);
    return toDataKey(Buffer.from(String(answer.data['plaintext']), 'base64'), action);
  }

  [Symbol.dispose](): void {
    this.#held[Symbol.dispose]();
  }

  async createdAt(): Promise<Date | null> {
    try {
      const { latest, createdAt } = await this.#assertUsable(`look up key ${this.name}`);
      return createdAt(Number(this.#version ?? latest));
    } catch {
      return null;
    }
  }

  /** Asks once, however many wait for the answer; again after a failure. */
  async #assertUsable(action: string): Promise<TransitKey> {
    const usable = (this.#usable ??= this.#findKey(action));
    try {
      return await usable;
    } catch (error) {
      if (this.#usable === usable) this.#usable = undefined;
      throw error;
    }
  }

  async #findKey(action: string): Promise<TransitKey> {
    const key = await this.#key.read(action);
    if (key !== null) return key;
    throw missingKey(action);
  }

  async #call(action: string, verb: 'encrypt' | 'decrypt', body: Record<string, unknown>): Promise<VaultAnswer> {
    return await this.#key.post(action, { verb, body });
  }
}

/** What the wrapped key is bound to: canonical JSON (RFC 8785); part of the format. Keys that are not derived ignore `context`. */
function toBinding({ backupId, label }: WrapContext): { context: string; associated_data: string } {
  const base64 = toBase64(Buffer.from(canonicalize({ 'backup-id': backupId, 'backup-label': label }) ?? ''));
  return { context: base64, associated_data: base64 };
}

function versionOf(ciphertext: string): string | undefined {
  return /^vault:v(?<version>[1-9]\d*):[A-Za-z0-9+/]+=*$/.exec(ciphertext)?.groups?.['version'];
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}
