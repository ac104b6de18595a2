import type { Secret } from '../core/secret.ts';
import { crc32c } from './crc32c.ts';
import { readChildName, readPage, readTime } from './gcp-checked.ts';
import { GcpClient, type GcpAnswer, type GcpCall } from './gcp-client.ts';
import { ForeignAnswer, isGcpFailure } from './gcp-errors.ts';
import { fetchGcpSecret, findGcpCreationTime, secretManager, toSecretName, versionName } from './gcp-secret-source.ts';
import type { KeyAdmin, KeyVersion } from './key-admin.ts';
import type { SecretAccess } from './read-secret.ts';
import { assertDestroyable, SecretKeyAdmin, type SecretVersion, type VersionedSecret } from './secret-key-admin.ts';
import { withoutVersion, withVersion, type SecretReference } from './secret-reference.ts';

const service = {
  ...secretManager,
  roleHint: 'Give the account the role Secret Manager Admin on the secret, or on the project to make one.',
};

/**
 * The versions of a key in Google Secret Manager. Needs, beside `secretmanager.versions.access`, `…versions.list` to list,
 * `…secrets.create` and `…versions.add` to generate, `…versions.add` to rotate, and `…versions.list` and
 * `…versions.destroy` to destroy. A new secret is replicated automatically, as Secret Manager calls it. In a secret that
 * delays destruction (`versionDestroyTtl`) a destroyed version is disabled until then.
 */
export async function openGcpSecretAdmin(reference: SecretReference, access: SecretAccess): Promise<KeyAdmin> {
  return await Promise.resolve(
    new SecretKeyAdmin(reference, new GcpVersionedSecret(withoutVersion(reference), access)),
  );
}

class GcpVersionedSecret implements VersionedSecret {
  readonly #reference: SecretReference;
  readonly #name: string;
  readonly #client: GcpClient;
  readonly #signal: AbortSignal | undefined;

  constructor(reference: SecretReference, { env, signal }: SecretAccess) {
    this.#reference = reference;
    this.#name = toSecretName(reference);
    this.#client = new GcpClient(service, env);
    this.#signal = signal;
  }

  async listVersions(): Promise<readonly SecretVersion[]> {
    const found: SecretVersion[] = [];
    let token = '';
    do {
      const { versions, next } = await this.#call('list the versions of secret', {
        method: 'GET',
        name: `${this.#name}/versions`,
        ...(token !== '' && { query: { pageToken: token } }),
        read: readVersions,
      });
      found.push(...versions);
      token = next;
    } while (token !== '');
    const newest = String(Math.max(...found.map(({ version }) => Number(version))));
    return found.map((facts) => {
      return facts.version === newest && facts.state === 'retired' ? { ...facts, state: 'active' } : facts;
    });
  }

  async read(version?: string): Promise<Secret | null> {
    const reference = version === undefined ? this.#reference : withVersion(this.#reference, version);
    try {
      return (await fetchGcpSecret(this.#client, reference, this.#signal)).secret;
    } catch (error) {
      if (isGcpFailure(error, 'NOT_FOUND')) return null;
      throw error;
    }
  }

  async create(content: Secret): Promise<SecretVersion> {
    const [parent = '', secretId = ''] = this.#name.split('/secrets/');
    try {
      await this.#call('make secret', {
        method: 'POST',
        name: `${parent}/secrets`,
        query: { secretId },
        body: { replication: { automatic: {} } },
        read: () => {},
      });
    } catch (error) {
      // It had no version a moment ago; or the answer to a first try was lost.
      const isThere = isGcpFailure(error, 'ALREADY_EXISTS');
      if (!isThere || (await this.listVersions()).length > 0) throw error;
    }
    return await this.add(content);
  }

  async add(content: Secret): Promise<SecretVersion> {
    const bytes = content.reveal();
    const data = Buffer.from(bytes).toString('base64');
    return await this.#call('write a new version of secret', {
      method: 'POST',
      name: this.#name,
      verb: 'addVersion',
      body: { payload: { data, dataCrc32c: String(crc32c(bytes)) } },
      read: toVersion,
      findOutcome: async () => await this.#findOwnWrite(content),
    });
  }

  async destroy(version: KeyVersion): Promise<void> {
    await assertDestroyable(this, this.#reference, version);
    await this.#call('destroy a version of secret', {
      method: 'POST',
      name: `${this.#name}/versions/${version.version}`,
      verb: 'destroy',
      body: {},
      read: toVersion,
    });
  }

  /** The answer to a first try may have been lost. */
  async #findOwnWrite(content: Secret): Promise<SecretVersion | undefined> {
    try {
      const { secret, version = '' } = await fetchGcpSecret(this.#client, this.#reference, this.#signal);
      using newest = secret;
      if (!newest.equals(content)) return undefined;
      const name = `${this.#name}/versions/${version}`;
      return { version, createdAt: await findGcpCreationTime(this.#client, name, this.#signal), state: 'active' };
    } catch (error) {
      if (isGcpFailure(error, 'NOT_FOUND')) return undefined;
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]();
  }

  async #call<Result>(verb: string, call: Omit<GcpCall<Result>, 'action' | 'signal'>): Promise<Result> {
    const action = `${verb} ${this.#reference.text}`;
    return await this.#client.call({ ...call, action, signal: this.#signal });
  }
}

function readVersions(answer: GcpAnswer): { readonly versions: SecretVersion[]; readonly next: string } {
  const { items, next } = readPage(answer, 'versions');
  return { versions: items.map(toVersion), next };
}

function toVersion({ name, createTime, state }: GcpAnswer): SecretVersion {
  return { version: readChildName(name, versionName), createdAt: readTime(createTime), state: toState(state) };
}

function toState(state: unknown): SecretVersion['state'] {
  if (state === 'DISABLED') return 'disabled';
  if (state === 'DESTROYED') return 'destroyed';
  if (state !== 'ENABLED') throw new ForeignAnswer();
  return 'retired';
}
