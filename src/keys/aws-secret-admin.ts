import {
  CreateSecretCommand,
  ListSecretVersionIdsCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
  type SecretVersionsListEntry,
} from '@aws-sdk/client-secrets-manager';
import { randomUUID } from 'node:crypto';
import { BackupError } from '../core/backup-error.ts';
import type { Secret } from '../core/secret.ts';
import { callAws, toAwsClientConfig } from './aws-client.ts';
import { isAwsFailure, unexpectedAnswer } from './aws-errors.ts';
import { fetchAwsSecret } from './aws-secret-source.ts';
import type { KeyAdmin } from './key-admin.ts';
import type { SecretAccess } from './read-secret.ts';
import { noDestruction, SecretKeyAdmin, type SecretVersion, type VersionedSecret } from './secret-key-admin.ts';
import { withoutVersion, withVersion, type SecretReference } from './secret-reference.ts';

const pageSize = 100;

/**
 * The versions of a key in AWS Secrets Manager. Needs, beside `secretsmanager:GetSecretValue`, `…:ListSecretVersionIds`
 * to list, `…:CreateSecret` or `…:PutSecretValue` to generate, and `…:PutSecretValue` to rotate. Versions that have no
 * staging label are listed and can be read as well; Secrets Manager deletes them once there are more than 100. One
 * version cannot be destroyed.
 */
export async function openAwsSecretAdmin(reference: SecretReference, access: SecretAccess): Promise<KeyAdmin> {
  const client = new SecretsManagerClient(await toAwsClientConfig(reference.location, access.env));
  return new SecretKeyAdmin(reference, new AwsVersionedSecret(client, withoutVersion(reference), access.signal));
}

class AwsVersionedSecret implements VersionedSecret {
  readonly #client: SecretsManagerClient;
  readonly #reference: SecretReference;
  readonly #signal: AbortSignal | undefined;

  constructor(client: SecretsManagerClient, reference: SecretReference, signal: AbortSignal | undefined) {
    this.#client = client;
    this.#reference = reference;
    this.#signal = signal;
  }

  async listVersions(): Promise<readonly SecretVersion[]> {
    const call = this.#callTo('list the versions of secret');
    const input = { SecretId: this.#reference.location, IncludeDeprecated: true, MaxResults: pageSize };
    const versions: SecretVersion[] = [];
    let token: string | undefined;
    do {
      const command = new ListSecretVersionIdsCommand({ ...input, ...(token !== undefined && { NextToken: token }) });
      const answer = await callAws(async (options) => await this.#client.send(command, options), call);
      if (answer.Versions === undefined) throw unexpectedAnswer(call.action);
      versions.push(...answer.Versions.flatMap(toVersion));
      token = answer.NextToken === '' ? undefined : answer.NextToken;
    } while (token !== undefined);
    return versions;
  }

  async read(version?: string): Promise<Secret | null> {
    const reference = version === undefined ? this.#reference : withVersion(this.#reference, version);
    try {
      return (await fetchAwsSecret(this.#client, reference, this.#signal)).secret;
    } catch (error) {
      if (isAwsFailure(error, 'ResourceNotFoundException')) return null;
      throw error;
    }
  }

  /** `CreateSecret` makes a secret; one that has no value yet is there, and gets its first one. */
  async create(content: Secret): Promise<SecretVersion> {
    const { location, text } = this.#reference;
    if (location.startsWith('arn:')) return await this.add(content);
    const call = this.#callTo('make secret');
    // Whoever asks twice with one token gets one version.
    const input = { Name: location, SecretString: content.revealText(), ClientRequestToken: randomUUID() };
    try {
      const command = new CreateSecretCommand({ ...input, Description: 'key of librelog-backup' });
      const { VersionId: version } = await callAws(async (options) => await this.#client.send(command, options), call);
      return toNewVersion(version, call.action);
    } catch (error) {
      if (!isAwsFailure(error, 'ResourceExistsException')) throw error;
      const existing = await this.listVersions();
      if (existing.length === 0) return await this.add(content);
      throw new BackupError('conflict', `there is a key in ${text} already`, {
        hint: 'Rotate it, or give another reference.',
        cause: error,
      });
    }
  }

  async add(content: Secret): Promise<SecretVersion> {
    const call = this.#callTo('write a new version of secret');
    const input = { SecretId: this.#reference.location, SecretString: content.revealText() };
    const command = new PutSecretValueCommand({ ...input, ClientRequestToken: randomUUID() });
    const { VersionId: version } = await callAws(async (options) => await this.#client.send(command, options), call);
    return toNewVersion(version, call.action);
  }

  async destroy(): Promise<void> {
    await Promise.reject(
      noDestruction(
        this.#reference.text,
        'Remove its staging labels, and Secrets Manager deletes it some day; or delete the whole secret.',
      ),
    );
  }

  [Symbol.dispose](): void {
    this.#client.destroy();
  }

  #callTo(verb: string): { readonly action: string; readonly signal: AbortSignal | undefined } {
    return { action: `${verb} ${this.#reference.text}`, signal: this.#signal };
  }
}

function toVersion({ VersionId, CreatedDate, VersionStages = [] }: SecretVersionsListEntry): SecretVersion[] {
  if (VersionId === undefined) return [];
  const state = VersionStages.includes('AWSCURRENT') ? 'active' : 'retired';
  return [{ version: VersionId, createdAt: CreatedDate ?? null, state }];
}

/** The answers to writes do not say when; it is now. */
function toNewVersion(version: string | undefined, action: string): SecretVersion {
  if (version === undefined) throw unexpectedAnswer(action);
  return { version, createdAt: new Date(), state: 'active' };
}
