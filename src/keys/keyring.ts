// The v3 entry of zod 4: it loads in 10 ms where the v4 one takes 60, which every command would pay.
import { z } from 'zod/v3';
import { BackupError } from '../core/backup-error.ts';
import { Secret } from '../core/secret.ts';
import { toKeyId } from './key-id.ts';

const formatName = 'librelog-backup-keyring';
const formatVersion = 1;
const materialBytes = 32;

const time = z.string().datetime();
const identity = {
  id: z.string().regex(/^[0-9a-f]{16}$/),
  /** `null`: made before there was a keyring, nobody knows when. */
  createdAt: time.nullable(),
};
const material = z.string().base64();

/** A keyring file, as docs/fields.md describes it. */
const keyringSchema = z
  .object({
    format: z.literal(formatName),
    version: z.literal(formatVersion),
    keys: z.array(
      z.discriminatedUnion('state', [
        z.object({ ...identity, state: z.literal('active'), material }).strict(),
        z.object({ ...identity, state: z.literal('retired'), retiredAt: time, material }).strict(),
        z.object({ ...identity, state: z.literal('destroyed'), retiredAt: time, destroyedAt: time }).strict(),
      ]),
    ),
  })
  .strict();

type StoredKey = z.infer<typeof keyringSchema>['keys'][number];

interface KeyIdentity {
  /** `toKeyId` of the key. */
  readonly id: string;
  /** ISO 8601; `null` when nobody knows. */
  readonly createdAt: string | null;
}

/** Encrypts what is new, and opens what it encrypted. */
export interface ActiveKey extends KeyIdentity {
  readonly state: 'active';
  readonly secret: Secret;
}

/** Only opens what it encrypted. */
export interface RetiredKey extends KeyIdentity {
  readonly state: 'retired';
  readonly retiredAt: string;
  readonly secret: Secret;
}

/** Is no more; what it encrypted is lost, and its id says why. */
export interface DestroyedKey extends KeyIdentity {
  readonly state: 'destroyed';
  readonly retiredAt: string;
  readonly destroyedAt: string;
}

export type UsableKey = ActiveKey | RetiredKey;
export type KeyringKey = UsableKey | DestroyedKey;

/**
 * The versions of one key-encryption key. Exactly one is active, no two have the same id. The functions below give a new
 * keyring, which has the secrets of the old one, not copies; dispose wipes them.
 */
export interface Keyring extends Disposable {
  /** In the order they were added. */
  readonly keys: readonly KeyringKey[];
}

/** A keyring of one active key, whose secret it takes over. */
export function createKeyring(secret: Secret, createdAt: string | null): Keyring {
  return toKeyring([{ id: toKeyId(secret), createdAt, state: 'active', secret }]);
}

/** Adds a key from elsewhere as a retired one. Fails with `conflict` when the keyring has, or had, that very key. */
export function addKey(keyring: Keyring, key: Omit<RetiredKey, 'id' | 'state'>): Keyring {
  const id = assertNew(keyring, key.secret);
  return toKeyring([...keyring.keys, { ...key, id, state: 'retired' }]);
}

/** Makes `secret` the active key; the one that was active is retired. Fails with `conflict` as `addKey`. */
export function rotateKey(keyring: Keyring, secret: Secret, now: Date): Keyring {
  const id = assertNew(keyring, secret);
  const at = now.toISOString();
  const earlier = keyring.keys.map((key): KeyringKey => {
    return key.state === 'active' ? { ...key, state: 'retired', retiredAt: at } : key;
  });
  return toKeyring([...earlier, { id, createdAt: at, state: 'active', secret }]);
}

/**
 * Forgets a retired key for good; its secret is not wiped, since the old keyring still has it. Fails with `key` when
 * there is no such key or it is destroyed already, with `conflict` when it is the active one.
 */
export function destroyKey(keyring: Keyring, id: string, { name, now }: Destruction): Keyring {
  const found = selectKey(keyring, { id, name });
  if (found.state === 'active') {
    throw new BackupError('conflict', `key ${id} of ${name} is the active one`, {
      hint: 'Rotate the keyring first, and encrypt anew what the key protects.',
    });
  }
  const { createdAt, retiredAt } = found;
  const destroyed: DestroyedKey = { id, createdAt, state: 'destroyed', retiredAt, destroyedAt: now.toISOString() };
  return toKeyring(keyring.keys.map((key) => (key === found ? destroyed : key)));
}

interface Destruction {
  /** Where the keyring is kept, for messages. */
  readonly name: string;
  readonly now: Date;
}

export function findKey(keyring: Keyring, id: string): KeyringKey | null {
  return keyring.keys.find((key) => key.id === id) ?? null;
}

export function findActiveKey(keyring: Keyring): ActiveKey {
  const active = keyring.keys.find((key) => key.state === 'active');
  if (active !== undefined) return active;
  throw new BackupError('bug', 'keyring has no active key');
}

export interface KeySelection {
  /** The active key by default. */
  readonly id?: string | undefined;
  /** Where the keyring is kept, for messages. */
  readonly name: string;
}

/** Fails with `key` when the keyring has no such key, or has it no more. */
export function selectKey(keyring: Keyring, { id, name }: KeySelection): UsableKey {
  if (id === undefined) return findActiveKey(keyring);
  const key = findKey(keyring, id);
  if (key === null) {
    const ids = keyring.keys.map((key) => key.id).join(', ');
    throw new BackupError('key', `keyring ${name} has no key ${id}; its keys: ${ids}`);
  }
  if (key.state !== 'destroyed') return key;
  throw new BackupError('key', `key ${id} of keyring ${name} was destroyed at ${key.destroyedAt}`, {
    hint: 'What it encrypted is lost, unless a copy of the key was kept elsewhere.',
  });
}

/** Whether a secret is a keyring, or at least was meant to be one. */
export function isKeyringText(secret: Secret): boolean {
  const start = Buffer.from(secret.reveal().subarray(0, 1024)).toString('latin1').trimStart();
  return start.startsWith('{') && start.includes(`"${formatName}"`);
}

/** Fails with `key`, naming the part that is wrong, never its content. `secret` stays its owner's. */
export function parseKeyringText(secret: Secret, name: string): Keyring {
  const parsed = keyringSchema.safeParse(parseJson(secret, name));
  if (!parsed.success) {
    const paths = new Set(parsed.error.issues.map(({ path }) => path.join('.') || 'its top level'));
    throw new BackupError('key', `keyring ${name} is malformed: ${[...paths].join(', ')}`);
  }
  const keys = parsed.data.keys.map((stored) => toKey(stored, name));
  const problem = findProblem(keys);
  if (problem !== null) throw new BackupError('key', `keyring ${name} is malformed: ${problem}`);
  return toKeyring(keys);
}

/** The text that `parseKeyringText` reads. The caller disposes of it. */
export function formatKeyring({ keys }: Keyring): Secret {
  const document = { format: formatName, version: formatVersion, keys: keys.map(toStoredKey) };
  return Secret.fromText(`${JSON.stringify(document, null, 2)}\n`);
}

function toKeyring(keys: readonly KeyringKey[]): Keyring {
  return {
    keys,
    [Symbol.dispose]: () => {
      for (const key of keys) if (key.state !== 'destroyed') key.secret[Symbol.dispose]();
    },
  };
}

function assertNew(keyring: Keyring, secret: Secret): string {
  const id = toKeyId(secret);
  const existing = findKey(keyring, id);
  if (existing !== null)
    throw new BackupError('conflict', `the keyring has key ${id} already, and it is ${existing.state}`);
  return id;
}

function parseJson(secret: Secret, name: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(secret.revealText());
  } catch {
    // The parser's own error quotes the text.
    throw new BackupError('key', `keyring ${name} is not JSON: it was cut off or damaged`);
  }
  const version: unknown = typeof value === 'object' && value !== null && 'version' in value ? value.version : null;
  if (typeof version !== 'number' || version <= formatVersion) return value;
  throw new BackupError(
    'key',
    `keyring ${name} has version ${version}, and this program reads version ${formatVersion}`,
    {
      hint: 'Use the version of librelog-backup that wrote it, or a newer one.',
    },
  );
}

function toKey(stored: StoredKey, name: string): KeyringKey {
  if (stored.state === 'destroyed') return stored;
  const { material, ...facts } = stored;
  const secret = new Secret(Buffer.from(material, 'base64'));
  if (secret.sizeBytes === materialBytes && toKeyId(secret) === facts.id) return { ...facts, secret };
  throw new BackupError('key', `key ${facts.id} of keyring ${name} is damaged: its material does not fit its id`);
}

function findProblem(keys: readonly KeyringKey[]): string | null {
  const active = keys.filter((key) => key.state === 'active').length;
  if (active !== 1) return `${active} keys are active, and one has to be`;
  return new Set(keys.map(({ id }) => id)).size === keys.length ? null : 'two keys have the same id';
}

function toStoredKey(key: KeyringKey): StoredKey {
  if (key.state === 'destroyed') return key;
  const { secret, ...facts } = key;
  return { ...facts, material: Buffer.from(secret.reveal()).toString('base64') };
}
