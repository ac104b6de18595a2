import canonicalize from 'canonicalize';
import { BackupError } from '../core/backup-error.ts';
import type { KeyWrapper, WrapContext } from '../core/key-wrapper.ts';
import { Secret } from '../core/secret.ts';
import type { WrappedKey } from '../core/wrapped-key.ts';
import type { SecretAccess } from './read-secret.ts';
import type { WrapperReference } from './secret-reference.ts';
import { openVaultClient, type VaultClient } from './vault-client.ts';
import { toRecord, type VaultAnswer } from './vault-http.ts';

export const algorithm = 'aes256-gcm96';
const dataKeyBytes = 32;

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
  readonly #keyId: string;
  readonly #mount: string;
  readonly #key: string;
  readonly #version: string | undefined;
  readonly #client: VaultClient;
  readonly #signal: AbortSignal | undefined;
  readonly #held: Disposable;
  #usable: Promise<void> | undefined;
  #createdAt: Date | null = null;

  constructor({ text, location, version }: WrapperReference, client: VaultClient, signal: AbortSignal | undefined) {
    this.name = text;
    this.#keyId = client.namespace === '' ? location : `${client.namespace}/${location}`;
    this.#mount = location.slice(0, location.lastIndexOf('/'));
    this.#key = location.slice(location.lastIndexOf('/') + 1);
    this.#version = version;
    this.#client = client;
    this.#signal = signal;
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
    return { provider: 'vault-transit', keyId: this.#keyId, keyVersion, algorithm, wrapped };
  }

  async unwrap(wrapped: WrappedKey, context: WrapContext): Promise<Secret | null> {
    if (wrapped.provider !== 'vault-transit' || wrapped.keyId !== this.#keyId) return null;
    const { keyVersion } = wrapped;
    const ofVersion = keyVersion === undefined ? '' : ` of version ${keyVersion}`;
    const action = `unwrap a data key${ofVersion} with ${this.name}`;
    const ciphertext = Buffer.from(wrapped.wrapped, 'base64').toString('latin1');
    if (versionOf(ciphertext) === undefined || versionOf(ciphertext) !== keyVersion) {
      throw new BackupError('integrity', `cannot ${action}: the wrapped data key was changed`);
    }
    const answer = await this.#call(action, 'decrypt', { ciphertext, ...toBinding(context) });
    if (answer.status !== 200) throw describeRefusal(answer, action, keyVersion);
    const dataKey = new Secret(Buffer.from(String(answer.data['plaintext']), 'base64'));
    if (dataKey.sizeBytes === dataKeyBytes) return dataKey;
    dataKey[Symbol.dispose]();
    throw new BackupError('integrity', `cannot ${action}: what it holds is not a data key`);
  }

  async createdAt(): Promise<Date | null> {
    try {
      await this.#assertUsable(`look up ${this.name}`);
      return this.#createdAt;
    } catch {
      return null;
    }
  }

  [Symbol.dispose](): void {
    this.#held[Symbol.dispose]();
  }

  /** Asks once, however many wait for the answer; again after a failure. */
  async #assertUsable(action: string): Promise<void> {
    const usable = (this.#usable ??= this.#checkKey(action));
    try {
      await usable;
    } catch (error) {
      if (this.#usable === usable) this.#usable = undefined;
      throw error;
    }
  }

  async #checkKey(action: string): Promise<void> {
    const path = `${this.#mount}/keys/${this.#key}`;
    const answer = await this.#client.call({ action, signal: this.#signal, method: 'GET', path });
    if (answer.status === 404)
      throw new BackupError('key', `cannot ${action}: there is no such key`, { hint: keyHint });
    if (answer.status !== 200) throw describeRefusal(answer, action, this.#version);
    const type = String(answer.data['type']);
    this.#createdAt = toVersionTime(answer.data, this.#version);
    if (type === algorithm) return;
    throw new BackupError('config', `cannot ${action}: it is a key of type ${type}`, {
      hint: `Create a key of type ${algorithm}.`,
    });
  }

  async #call(action: string, verb: 'encrypt' | 'decrypt', body: Record<string, unknown>): Promise<VaultAnswer> {
    const path = `${this.#mount}/${verb}/${this.#key}`;
    return await this.#client.call({ action, signal: this.#signal, method: 'POST', path, body });
  }
}

/** When a version of a key was made, by default the newest one; `data.keys` of GET /transit/keys/:name. */
function toVersionTime(data: VaultAnswer['data'], version: string | undefined): Date | null {
  const seconds = toRecord(data['keys'])[version ?? String(data['latest_version'])];
  return typeof seconds === 'number' ? new Date(seconds * 1000) : null;
}

const keyHint = `Correct the mount or the key, or create it: vault write -f MOUNT/keys/KEY type=${algorithm}.`;

/** What the wrapped key is bound to: canonical JSON (RFC 8785); part of the format. Keys that are not derived ignore `context`. */
function toBinding({ backupId, label }: WrapContext): { context: string; associated_data: string } {
  const base64 = toBase64(Buffer.from(canonicalize({ 'backup-id': backupId, 'backup-label': label }) ?? ''));
  return { context: base64, associated_data: base64 };
}

function versionOf(ciphertext: string): string | undefined {
  return /^vault:v(?<version>[1-9]\d*):[A-Za-z0-9+/]+=*$/.exec(ciphertext)?.groups?.['version'];
}

interface Refusal {
  readonly text: RegExp;
  readonly kind: 'key' | 'integrity';
  readonly reason: string;
  readonly hint?: string;
}

/** The texts of the transit engine, by which alone its refusals can be told apart. */
const refusals: readonly Refusal[] = [
  {
    text: /message authentication failed|invalid ciphertext(?!: version is too new)|unable to decrypt/,
    kind: 'integrity',
    reason: 'the wrapped data key was changed, or belongs to another backup or key',
  },
  {
    text: /too old|less than the minimum/,
    kind: 'key',
    reason: 'this version of the key is disabled',
    hint: 'Lower min_decryption_version or min_encryption_version of the key.',
  },
  {
    text: /version is too new|higher than the latest|no such key version/,
    kind: 'key',
    reason: 'the key has no such version',
    hint: 'Restore the key from its own backup, or open the backup with another of its keys.',
  },
  { text: /encryption key not found/, kind: 'key', reason: 'there is no such key', hint: keyHint },
  { text: /soft.?deleted/, kind: 'key', reason: 'the key is deleted', hint: 'Restore the key in Vault.' },
  { text: /no handler for route/, kind: 'key', reason: 'there is no such mount', hint: keyHint },
];

function describeRefusal({ errors, status }: VaultAnswer, action: string, version: string | undefined): BackupError {
  const text = errors.join('; ');
  const known = refusals.find((refusal) => refusal.text.test(text));
  if (known === undefined) {
    return new BackupError('key', `cannot ${action}: Vault refuses (HTTP ${status}): ${text.slice(0, 300)}`);
  }
  const { kind, reason, hint } = known;
  const which = version === undefined ? 'this version' : `version ${version}`;
  return new BackupError(kind, `cannot ${action}: ${reason.replace('this version', which)}`, { hint });
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}
