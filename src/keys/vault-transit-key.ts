import { BackupError } from '../core/backup-error.ts';
import type { WrapperReference } from './secret-reference.ts';
import type { VaultClient } from './vault-client.ts';
import { toRecord, type VaultAnswer } from './vault-http.ts';

export const transitAlgorithm = 'aes256-gcm96';

/** What the transit engine tells of a key. Versions count from 1. */
export interface TransitKey {
  readonly latest: number;
  /** Older ones are gone. */
  readonly oldest: number;
  /** Older ones do not decrypt. */
  readonly minDecryption: number;
  /** 0: any version encrypts. */
  readonly minEncryption: number;
  /** `null` for versions that do not decrypt. */
  readonly createdAt: (version: number) => Date | null;
}

export interface TransitCall {
  readonly verb: 'encrypt' | 'decrypt' | 'keys';
  /** What follows the key in the path. */
  readonly action?: 'config' | 'trim';
  readonly body: Readonly<Record<string, unknown>>;
}

/** A key of the transit engine, and how it is asked. Errors: `key`, `config`. */
export class VaultTransitKey {
  /** NAMESPACE/MOUNT/KEY, as wrapped keys name it. */
  readonly id: string;
  readonly #mount: string;
  readonly #key: string;
  readonly #version: string | undefined;
  readonly #client: VaultClient;
  readonly #signal: AbortSignal | undefined;

  constructor({ location, version }: WrapperReference, client: VaultClient, signal: AbortSignal | undefined) {
    this.id = client.namespace === '' ? location : `${client.namespace}/${location}`;
    this.#mount = location.slice(0, location.lastIndexOf('/'));
    this.#key = location.slice(location.lastIndexOf('/') + 1);
    this.#version = version;
    this.#client = client;
    this.#signal = signal;
  }

  /** `null`: there is no such key. Fails with `config` when it is of another type. */
  async read(action: string): Promise<TransitKey | null> {
    const answer = await this.#get(action);
    if (answer.status === 404 && !answer.errors.some((text) => text.includes('no handler for route'))) return null;
    if (answer.status !== 200) throw describeRefusal(answer, action, this.#version);
    const type = String(answer.data['type']);
    if (type === transitAlgorithm) return toTransitKey(answer.data);
    throw new BackupError('config', `cannot ${action}: it is a key of type ${type}`, {
      hint: `Create a key of type ${transitAlgorithm}.`,
    });
  }

  async post(action: string, { verb, action: suffix, body }: TransitCall): Promise<VaultAnswer> {
    const path = [this.#mount, verb, this.#key, ...(suffix === undefined ? [] : [suffix])].join('/');
    return await this.#client.call({ action, signal: this.#signal, method: 'POST', path, body });
  }

  /** Makes the version that follows `latest`: one, also where the first answer is lost. */
  async rotate(action: string, { latest }: TransitKey): Promise<VaultAnswer> {
    const findOutcome = async (): Promise<VaultAnswer | undefined> => {
      const answer = await this.#get(action);
      return toTransitKey(answer.data).latest > latest ? answer : undefined;
    };
    const path = `${this.#path}/rotate`;
    return await this.#client.call({ action, signal: this.#signal, method: 'POST', path, body: {}, findOutcome });
  }

  get #path(): string {
    return `${this.#mount}/keys/${this.#key}`;
  }

  async #get(action: string): Promise<VaultAnswer> {
    return await this.#client.call({ action, signal: this.#signal, method: 'GET', path: this.#path });
  }
}

/** Vault API, "Transit secrets engine", "Read key". */
function toTransitKey(data: Readonly<Record<string, unknown>>): TransitKey {
  const times = toRecord(data['keys']);
  return {
    latest: Number(data['latest_version']),
    oldest: Math.max(1, Number(data['min_available_version'] ?? 0)),
    minDecryption: Number(data['min_decryption_version'] ?? 1),
    minEncryption: Number(data['min_encryption_version'] ?? 0),
    createdAt: (version) => {
      const seconds = times[String(version)];
      return typeof seconds === 'number' ? new Date(seconds * 1000) : null;
    },
  };
}

const keyHint = `Correct the mount or the key, or create it: vault write -f MOUNT/keys/KEY type=${transitAlgorithm}.`;

export function missingKey(action: string): BackupError {
  return new BackupError('key', `cannot ${action}: there is no such key`, { hint: keyHint });
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

export function describeRefusal({ errors, status }: VaultAnswer, action: string, version?: string): BackupError {
  const text = errors.join('; ');
  const known = refusals.find((refusal) => refusal.text.test(text));
  if (known === undefined) {
    return new BackupError('key', `cannot ${action}: Vault refuses (HTTP ${status}): ${text.slice(0, 300)}`);
  }
  const { kind, reason, hint } = known;
  const which = version === undefined ? 'this version' : `version ${version}`;
  return new BackupError(kind, `cannot ${action}: ${reason.replace('this version', which)}`, { hint });
}
