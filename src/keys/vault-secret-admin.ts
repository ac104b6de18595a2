import { BackupError } from '../core/backup-error.ts';
import type { Secret } from '../core/secret.ts';
import type { KeyAdmin, KeyVersion } from './key-admin.ts';
import { openReadOnlyKeyAdmin } from './read-only-key-admin.ts';
import type { SecretAccess } from './read-secret.ts';
import { refusePinnedKey } from './refuse-pinned-key.ts';
import { assertDestroyable, SecretKeyAdmin, type SecretVersion, type VersionedSecret } from './secret-key-admin.ts';
import type { SecretReference } from './secret-reference.ts';
import { openVaultClient } from './vault-client.ts';
import { toRecord, type VaultAnswer } from './vault-http.ts';
import { findMount, toSecret, toTime, type VaultSecretRequest } from './vault-source.ts';

/** Where a reference names no field and the secret is not there yet. */
const defaultField = 'key';

/**
 * The versions of a key in a KV secrets engine. Of version 2: needs, beside `read` on MOUNT/data/PATH, `read` on
 * MOUNT/metadata/PATH to list, `create` and `update` on MOUNT/data/PATH to generate and rotate, `update` on
 * MOUNT/destroy/PATH to destroy. Writes are bound to the version that was read before (check-and-set), so that of two at
 * once one fails. Engines of version 1 keep no versions: their keys are only read.
 */
export async function openVaultSecretAdmin(reference: SecretReference, access: SecretAccess): Promise<KeyAdmin> {
  refusePinnedKey(reference);
  const client = await openVaultClient(access.env);
  const request = { reference, client, action: `look after secret ${reference.text}`, signal: access.signal };
  return new VaultSecretAdmin(request, access);
}

/** Asks of which version the engine is when that is needed first. */
class VaultSecretAdmin implements KeyAdmin {
  readonly name: string;
  readonly #request: VaultSecretRequest;
  readonly #access: SecretAccess;
  #admin: Promise<KeyAdmin> | undefined;

  constructor(request: VaultSecretRequest, access: SecretAccess) {
    this.name = request.reference.text;
    this.#request = request;
    this.#access = access;
  }

  async list(): Promise<readonly KeyVersion[]> {
    return await (await this.#open()).list();
  }

  async generate(): Promise<KeyVersion> {
    return await (await this.#open()).generate();
  }

  async rotate(): Promise<KeyVersion> {
    return await (await this.#open()).rotate();
  }

  async destroy(version: KeyVersion): Promise<void> {
    await (await this.#open()).destroy(version);
  }

  [Symbol.dispose](): void {}

  async #open(): Promise<KeyAdmin> {
    this.#admin ??= this.#findAdmin();
    return await this.#admin;
  }

  async #findAdmin(): Promise<KeyAdmin> {
    const { reference } = this.#request;
    const { path, isVersioned } = await findMount(this.#request);
    if (isVersioned) return new SecretKeyAdmin(reference, new VaultVersionedSecret(this.#request, path));
    const hint = `Let the engine keep versions: vault kv enable-versioning ${path}.`;
    return await openReadOnlyKeyAdmin(reference, this.#access, hint);
  }
}

class VaultVersionedSecret implements VersionedSecret {
  readonly #request: VaultSecretRequest;
  readonly #mount: string;
  readonly #name: string;
  /** The version that the next write replaces; 0: there is none. */
  #current = 0;
  /** Where the reference names none. */
  #onlyField = defaultField;

  constructor(request: VaultSecretRequest, mount: string) {
    this.#request = request;
    this.#mount = mount;
    this.#name = request.reference.location.slice(mount.length);
  }

  async listVersions(): Promise<readonly SecretVersion[]> {
    const answer = await this.#call('list the versions of', { method: 'GET', path: this.#pathOf('metadata') });
    if (answer.status === 404) return [];
    assertAnswer(answer, `list the versions of secret ${this.#request.reference.text}`);
    const current = String(answer.data['current_version']);
    return Object.entries(toRecord(answer.data['versions'])).map(([version, facts]) => {
      return { version, ...toFacts(toRecord(facts), version === current) };
    });
  }

  async read(version?: string): Promise<Secret | null> {
    const query = version === undefined ? {} : { version };
    const answer = await this.#call('read', { method: 'GET', path: this.#pathOf('data'), query });
    const metadata = toRecord(answer.data['metadata']);
    if (version === undefined) this.#current = Number(metadata['version'] ?? 0);
    if (answer.status === 404) return null;
    assertAnswer(answer, `read secret ${this.#request.reference.text}`);
    const data = toRecord(answer.data['data']);
    const secret = toSecret(data, this.#request.reference);
    this.#onlyField = Object.keys(data)[0] ?? defaultField;
    return secret;
  }

  async create(content: Secret): Promise<SecretVersion> {
    return await this.add(content);
  }

  async add(content: Secret): Promise<SecretVersion> {
    const { field, text } = this.#request.reference;
    const value = content.revealText();
    const data: unknown = field === undefined ? { [this.#onlyField]: value } : JSON.parse(value);
    const body = { data, options: { cas: this.#current } };
    const answer = await this.#call('write', { method: 'POST', path: this.#pathOf('data'), body });
    if (answer.status === 400 && answer.errors.some((error) => error.includes('check-and-set'))) {
      throw new BackupError('conflict', `secret ${text} was changed by somebody else at the same time`, {
        hint: 'Look at its versions, and try again.',
      });
    }
    assertAnswer(answer, `write secret ${text}`);
    const { version, created_time: createdAt } = answer.data;
    return { version: String(version), createdAt: toTime(createdAt), state: 'active' };
  }

  async destroy(version: KeyVersion): Promise<void> {
    const { reference } = this.#request;
    await assertDestroyable(this, reference, version);
    const body = { versions: [Number(version.version)] };
    const answer = await this.#call('destroy a version of', { method: 'POST', path: this.#pathOf('destroy'), body });
    assertAnswer(answer, `destroy a version of secret ${reference.text}`);
  }

  [Symbol.dispose](): void {}

  #pathOf(part: 'data' | 'metadata' | 'destroy'): string {
    return `${this.#mount}${part}/${this.#name}`;
  }

  async #call(
    verb: string,
    request: Pick<Parameters<VaultSecretRequest['client']['call']>[0], 'method' | 'path' | 'query' | 'body'>,
  ) {
    const { client, reference, signal } = this.#request;
    return await client.call({ ...request, action: `${verb} secret ${reference.text}`, signal });
  }
}

function toFacts(facts: Readonly<Record<string, unknown>>, isCurrent: boolean): Omit<SecretVersion, 'version'> {
  const { created_time: createdAt, deletion_time: deletedAt, destroyed } = facts;
  const isDeleted = typeof deletedAt === 'string' && deletedAt !== '';
  const usable = isCurrent ? 'active' : 'retired';
  const state = destroyed === true ? 'destroyed' : isDeleted ? 'disabled' : usable;
  return { createdAt: toTime(createdAt), state };
}

function assertAnswer({ status, errors }: VaultAnswer, action: string): void {
  if (status >= 200 && status < 300) return;
  throw new BackupError('key', `cannot ${action}: ${errors.join('; ') || `HTTP ${status}`}`);
}
