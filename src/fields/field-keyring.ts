import { hkdfSync } from 'node:crypto';
import { BackupError } from '../core/backup-error.ts';
import { Secret } from '../core/secret.ts';
import type { UsableKey } from '../keys/keyring.ts';
import { readKeyring } from '../keys/read-key-encryption-key.ts';
import type { KeyringRead } from '../keys/read-key-encryption-key.ts';
import type { SecretAccess } from '../keys/read-secret.ts';

/** Part of the format (docs/fields.md): never change it. */
const derivationLabel = 'librelog-backup/v1/field';

/** Where the keys are: secret references, as for `--key`; see docs/keys.md. */
export interface FieldKeyReferences {
  /** Keyrings or plain keys. The active key of the first one encrypts; all keys of all of them decrypt. */
  readonly keys: readonly string[];
  /** Keys of Fernet tokens, which are read and never made. */
  readonly fernetKeys?: readonly string[];
}

export interface FieldKey {
  readonly id: string;
  /** The version that its source gave it, where the source keeps versions of a plain key; otherwise empty. */
  readonly version: string;
  /** `null` when nobody knows. */
  readonly createdAt: Date | null;
  /** Derived from the key for fields alone; the key itself is gone. */
  readonly secret: Secret;
}

/** Keys for fields, read once. Dispose wipes them. */
export interface FieldKeyring extends Disposable {
  /** The references it was read from, for messages. */
  readonly name: string;
  /** Encrypts what is new. */
  readonly active: FieldKey;
  /** Decrypt, the active one among them; by id. */
  readonly keys: ReadonlyMap<string, FieldKey>;
  /** Ids of keys that were destroyed. */
  readonly destroyed: ReadonlySet<string>;
  readonly fernetKeys: readonly Secret[];
  /** What is odd about how the keys are kept; one sentence each. */
  readonly warnings: readonly string[];
}

/** Reads keys for fields. Errors: `config` (a reference), `key` (what it names). */
export async function openFieldKeyring(
  { keys, fernetKeys = [] }: FieldKeyReferences,
  access: SecretAccess = { env: process.env },
): Promise<FieldKeyring> {
  if (keys.length === 0) throw new BackupError('config', 'fields need a key', { hint: 'Name one, such as file:PATH.' });
  using reads = new DisposableStack();
  const read = async (reference: string): Promise<KeyringRead> => {
    const read = await readKeyring(reference, access);
    reads.use(read.keyring);
    return read;
  };
  const keyrings: KeyringRead[] = [];
  for (const reference of keys) keyrings.push(await read(reference));
  const fernet: KeyringRead[] = [];
  for (const reference of fernetKeys) fernet.push(await read(reference));
  return toFieldKeyring(keys.join(', '), keyrings, fernet);
}

function toFieldKeyring(name: string, keyrings: readonly KeyringRead[], fernet: readonly KeyringRead[]): FieldKeyring {
  const keys = new Map<string, FieldKey>();
  const destroyed = new Set<string>();
  let active: FieldKey | undefined;
  for (const { keyring, version = '' } of keyrings) {
    for (const key of keyring.keys) {
      if (key.state === 'destroyed') {
        destroyed.add(key.id);
      } else {
        const fieldKey = keys.get(key.id) ?? toFieldKey(key, version);
        keys.set(key.id, fieldKey);
        if (key.state === 'active') active ??= fieldKey;
      }
    }
  }
  if (active === undefined) throw new BackupError('bug', 'keyrings have no active key');
  const fernetKeys = fernet.flatMap(({ keyring }) => keyring.keys.flatMap((key) => toCopy(key)));
  return {
    name,
    active,
    keys,
    destroyed,
    fernetKeys,
    warnings: [...keyrings, ...fernet].flatMap(({ warnings }) => warnings),
    [Symbol.dispose]: () => {
      for (const { secret } of keys.values()) secret[Symbol.dispose]();
      for (const secret of fernetKeys) secret[Symbol.dispose]();
    },
  };
}

/** HKDF-SHA-256 (RFC 5869), so that no key that wraps the keys of backups encrypts a field itself. */
function toFieldKey({ id, createdAt, secret }: UsableKey, version: string): FieldKey {
  const derived = new Secret(Buffer.from(hkdfSync('sha256', secret.reveal(), '', derivationLabel, 32)));
  return { id, version, createdAt: createdAt === null ? null : new Date(createdAt), secret: derived };
}

function toCopy(key: KeyringRead['keyring']['keys'][number]): Secret[] {
  return key.state === 'destroyed' ? [] : [new Secret(Uint8Array.from(key.secret.reveal()))];
}
