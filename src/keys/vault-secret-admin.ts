import { BackupError } from '../core/backup-error.ts';
import { Secret } from '../core/secret.ts';
import type { KeyAdmin, KeyVersion } from './key-admin.ts';
import type { SecretAccess } from './read-secret.ts';
import { listPresentKeys } from './read-only-key-admin.ts';
import { refusePinnedKey } from './refuse-pinned-key.ts';
import { assertDestroyable, SecretKeyAdmin, type SecretVersion, type VersionedSecret } from './secret-key-admin.ts';
import { withVersion, type SecretReference } from './secret-reference.ts';
import { openVaultClient, type VaultClient } from './vault-client.ts';
import { toRecord, type VaultAnswer } from './vault-http.ts';
import { describeAbsence, findMount, getVersion, readVaultTime, type VaultMount } from './vault-source.ts';

/** The field of a new secret whose reference names none. */
const defaultField = 'key';
const defaultMaxVersions = 10;

/**
 * The versions of a key in a KV 2 secret of Vault; in a KV 1 secret, which has none, what is there now, which can be
 * listed (it needs `read` on MOUNT/PATH) and not changed from here: `usage`. Without a field in the reference, it is the secret's only field.
 * Needs `read` on MOUNT/data/PATH and MOUNT/metadata/PATH to list; `create` and `update` on the former to generate;
 * `update` on it to rotate, and `read` on MOUNT/config where the secret itself does not say how many versions are kept;
 * `update` on MOUNT/destroy/PATH to destroy. Errors: `config`.
 */
export async function openVaultSecretAdmin(reference: SecretReference, access: SecretAccess): Promise<KeyAdmin> {
  refusePinnedKey(reference);
  const client = await openVaultClient(access.env);
  return new VaultSecretAdmin(reference, new VaultVersionedSecret(reference, client, access.signal), access);
}

class VaultSecretAdmin extends SecretKeyAdmin {
  readonly #secret: VaultVersionedSecret;
  readonly #readPresent: () => Promise<readonly KeyVersion[]>;

  constructor(reference: SecretReference, secret: VaultVersionedSecret, access: SecretAccess) {
    super(reference, secret);
    this.#secret = secret;
    this.#readPresent = async () => await listPresentKeys(reference, access);
  }

  override async list(): Promise<readonly KeyVersion[]> {
    return (await this.#secret.keepsVersions()) ? await super.list() : await this.#readPresent();
  }
}

/** What a secret was read from. */
interface Origin {
  readonly version: number;
  readonly field: string;
}

interface Write {
  readonly data: Readonly<Record<string, unknown>>;
  /** The version that the new one follows; 0 for none. */
  readonly after: number;
}

class VaultVersionedSecret implements VersionedSecret {
  readonly #reference: SecretReference;
  readonly #client: VaultClient;
  readonly #signal: AbortSignal | undefined;
  readonly #origins = new WeakMap<Secret, Origin>();
  #mount: Promise<VaultMount> | undefined;

  constructor(reference: SecretReference, client: VaultClient, signal: AbortSignal | undefined) {
    this.#reference = reference;
    this.#client = client;
    this.#signal = signal;
  }

  /** Whether the secret is in a KV engine of version 2. */
  async keepsVersions(): Promise<boolean> {
    return (await this.#askMountOnce(`list the versions of ${this.#reference.text}`)).isVersioned;
  }

  async listVersions(): Promise<readonly SecretVersion[]> {
    const { data } = await this.#readMetadata(`list the versions of ${this.#reference.text}`);
    const current = String(data['current_version']);
    return Object.entries(toRecord(data['versions'])).map(([version, facts]) => toVersion(version, facts, current));
  }

  async read(version?: string): Promise<Secret | null> {
    const reference = version === undefined ? this.#reference : withVersion(this.#reference, version);
    const action = `read secret ${reference.text}`;
    const request = { reference, client: this.#client, action, signal: this.#signal };
    const answer = await getVersion(request, await this.#findMount(action));
    if (answer.status === 404) return null;
    if (answer.status !== 200) throw describeAbsence(action, answer, version);
    const data = toRecord(answer.data['data']);
    const field = this.#reference.field ?? onlyField(data, reference.text);
    const content = this.#reference.field === undefined ? data[field] : data;
    const secret = Secret.fromText(typeof content === 'string' ? content : JSON.stringify(content));
    this.#origins.set(secret, { version: Number(toRecord(answer.data['metadata'])['version']), field });
    return secret;
  }

  async create(content: Secret): Promise<SecretVersion> {
    return await this.#write({ data: this.#toData(content, defaultField), after: 0 });
  }

  async add(content: Secret, replaced: Secret): Promise<SecretVersion> {
    const origin = this.#origins.get(replaced);
    if (origin === undefined) throw new BackupError('bug', 'the secret that is replaced was not read here');
    const data = this.#toData(content, origin.field);
    if (hasInexactNumber(data)) {
      throw new BackupError('usage', `secret ${this.#reference.text} has a number that would be rounded`, {
        hint: 'Write the number as a string, or keep the key in a secret of its own.',
      });
    }
    await this.#assertRoom(origin.version);
    return await this.#write({ data, after: origin.version });
  }

  async destroy(key: KeyVersion): Promise<void> {
    const { version } = key;
    await assertDestroyable(this, this.#reference, key);
    const action = `destroy version ${version} of secret ${this.#reference.text}`;
    const path = await this.#path('destroy', action);
    const body = { versions: [Number(version)] };
    const answer = await this.#client.call({ action, signal: this.#signal, method: 'POST', path, body });
    if (answer.status >= 300) throw describeAbsence(action, answer, version);
  }

  [Symbol.dispose](): void {}

  /** Vault forgets the oldest versions without a word once there are too many. */
  async #assertRoom(current: number): Promise<void> {
    const { text } = this.#reference;
    const action = `write a new version of secret ${text}`;
    const { data } = await this.#readMetadata(action);
    const kept = toKept(data);
    const own = Number(data['max_versions'] ?? 0);
    if (own > 0 && !kept.some((version) => version <= current + 1 - own)) return;
    const max = Math.max(own, await this.#readMaxVersions(action)) || defaultMaxVersions;
    const lost = kept.filter((version) => version <= current + 1 - max);
    if (lost.length === 0) return;
    throw new BackupError('config', `cannot ${action}: Vault keeps ${max} and would lose version ${lost.join(', ')}`, {
      hint: 'Raise max_versions with `vault kv metadata put -max-versions=N`, or destroy the old version.',
    });
  }

  async #readMaxVersions(action: string): Promise<number> {
    const { path } = await this.#findMount(action);
    const answer = await this.#client.call({ action, signal: this.#signal, method: 'GET', path: `${path}config` });
    if (answer.status !== 200) throw describeAbsence(action, answer);
    return Number(answer.data['max_versions'] ?? 0);
  }

  async #readMetadata(action: string): Promise<VaultAnswer> {
    const path = await this.#path('metadata', action);
    const answer = await this.#client.call({ action, signal: this.#signal, method: 'GET', path });
    if (answer.status === 200) return answer;
    throw describeAbsence(action, answer);
  }

  async #write({ data, after }: Write): Promise<SecretVersion> {
    const { text } = this.#reference;
    const action = `write a new version of secret ${text}`;
    const path = await this.#path('data', action);
    const body = { options: { cas: after }, data };
    const answer = await this.#client.call({ action, signal: this.#signal, method: 'POST', path, body });
    if (answer.status === 200) return toNewVersion(answer.data);
    if (!answer.errors.some((error) => error.includes('check-and-set'))) throw describeAbsence(action, answer);
    const own = await this.#findOwnWrite(data, action);
    if (own !== null) return own;
    throw new BackupError(
      'conflict',
      `cannot ${action}: ${after === 0 ? 'it has versions' : 'it was changed'} already`,
      {
        hint:
          after === 0 ? 'Undelete its newest version, or give another reference.' : 'Look at the key, and try again.',
      },
    );
  }

  /** The answer to a first try may have been lost. */
  async #findOwnWrite(data: Write['data'], action: string): Promise<SecretVersion | null> {
    const request = { reference: this.#reference, client: this.#client, action, signal: this.#signal };
    const answer = await getVersion(request, await this.#findMount(action));
    const found = toRecord(answer.data['data']);
    const names = new Set([...Object.keys(found), ...Object.keys(data)]);
    const isOurs = [...names].every((name) => JSON.stringify(found[name]) === JSON.stringify(data[name]));
    return answer.status === 200 && isOurs ? toNewVersion(toRecord(answer.data['metadata'])) : null;
  }

  #toData(content: Secret, field: string): Readonly<Record<string, unknown>> {
    if (this.#reference.field === undefined) return { [field]: content.revealText() };
    return toRecord(JSON.parse(content.revealText()));
  }

  async #path(kind: 'data' | 'destroy' | 'metadata', action: string): Promise<string> {
    const { path } = await this.#findMount(action);
    return `${path}${kind}/${this.#reference.location.slice(path.length)}`;
  }

  async #findMount(action: string): Promise<VaultMount> {
    const mount = await this.#askMountOnce(action);
    if (mount.isVersioned) return mount;
    throw new BackupError(
      'usage',
      `cannot ${action}: "${mount.path}" is a KV engine of version 1, which keeps no versions`,
      {
        hint: 'Upgrade it with `vault kv enable-versioning`, or change the key with the vault command.',
      },
    );
  }

  async #askMountOnce(action: string): Promise<VaultMount> {
    const request = { reference: this.#reference, client: this.#client, action, signal: this.#signal };
    const found = (this.#mount ??= findMount(request));
    try {
      return await found;
    } catch (error) {
      if (this.#mount === found) this.#mount = undefined;
      throw error;
    }
  }
}

function onlyField(data: Readonly<Record<string, unknown>>, name: string): string {
  const [only, ...more] = Object.keys(data).toSorted();
  if (only !== undefined && more.length === 0) return only;
  throw new BackupError('key', `secret ${name} has ${Object.keys(data).length} fields`, {
    hint: 'Name one of them after "#".',
  });
}

function toVersion(version: string, facts: unknown, current: string): SecretVersion {
  const { created_time: created, deletion_time: deletion, destroyed } = toRecord(facts);
  const createdAt = readVaultTime(created);
  const deletedAt = readVaultTime(deletion);
  if (destroyed === true) return { version, createdAt, state: 'destroyed' };
  // Vault may be told beforehand when to delete a version.
  if (deletedAt !== null && deletedAt.getTime() <= Date.now()) return { version, createdAt, state: 'disabled' };
  return { version, createdAt, state: version === current ? 'active' : 'retired' };
}

function toNewVersion({ version, created_time: created }: Readonly<Record<string, unknown>>): SecretVersion {
  return { version: String(version), createdAt: readVaultTime(created), state: 'active' };
}

/** The numbers of the versions that are not destroyed. */
function toKept(data: Readonly<Record<string, unknown>>): number[] {
  return Object.entries(toRecord(data['versions']))
    .filter(([, facts]) => toRecord(facts)['destroyed'] !== true)
    .map(([version]) => Number(version));
}

/** Whether reading the secret has rounded a number, which writing it would make final. */
function hasInexactNumber(value: unknown): boolean {
  if (typeof value === 'number') return Number.isInteger(value) && !Number.isSafeInteger(value);
  return typeof value === 'object' && value !== null && Object.values(value).some((part) => hasInexactNumber(part));
}
