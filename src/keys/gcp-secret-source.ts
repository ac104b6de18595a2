import { BackupError } from '../core/backup-error.ts';
import type { Meaning } from '../core/meaning.ts';
import { Secret } from '../core/secret.ts';
import { readChecked, readChildName, readTime } from './gcp-checked.ts';
import { GcpClient, type GcpAnswer } from './gcp-client.ts';
import type { GcpFailure, GcpService } from './gcp-errors.ts';
import type { SecretAccess, SecretRead } from './read-secret.ts';
import type { SecretReference } from './secret-reference.ts';

export const secretManager: GcpService = {
  title: 'Secret Manager',
  endpoint: 'https://secretmanager.googleapis.com',
  endpointVariable: 'LIBRELOG_BACKUP_GCP_SECRETS_ENDPOINT',
  roleHint: 'Give the account the role Secret Manager Secret Accessor on the secret, or correct its name.',
  missing: {
    kind: 'key',
    reason: 'there is no such secret or version',
    hint: 'Correct the project, the secret or its version.',
  },
  meaningOf: meaningOfState,
};

/** The last part of it is the number of the version. */
export const versionName = /\/secrets\/[^/]+\/versions\/(?<child>\d+)$/;

/**
 * `gcp-sm:PROJECT/NAME`: a secret of Google Secret Manager, whose checksum is compared. A version is a number or an
 * alias; `latest` by default, which is the newest one even when that is disabled. Needs
 * `secretmanager.versions.access`, and tells when the newest version was made where it may ask that as well
 * (`secretmanager.versions.get`). The version reported is always a number.
 */
export async function readGcpSecret(reference: SecretReference, { env, signal }: SecretAccess): Promise<SecretRead> {
  const { version = 'latest' } = reference;
  if (!/^[A-Za-z0-9_-]+$/.test(version)) {
    throw new BackupError('config', `${reference.text} has a version that is neither a number nor an alias`, {
      hint: 'Write the number of a version, an alias or "latest".',
    });
  }
  using client = new GcpClient(secretManager, env);
  const read = await fetchGcpSecret(client, reference, signal);
  if (reference.version !== undefined) return read;
  const createdAt = await findGcpCreationTime(client, `${toSecretName(reference)}/versions/${read.version}`, signal);
  return { ...read, ...(createdAt !== null && { createdAt }) };
}

/** The same by a client that is there, without the time; it stays its owner's. */
export async function fetchGcpSecret(
  client: GcpClient,
  reference: SecretReference,
  signal: AbortSignal | undefined,
): Promise<SecretRead> {
  return await client.call({
    action: `read secret ${reference.text}`,
    method: 'GET',
    name: `${toSecretName(reference)}/versions/${reference.version ?? 'latest'}`,
    verb: 'access',
    read: readVersion,
    signal,
  });
}

/** As the service knows it. */
export function toSecretName({ location }: SecretReference): string {
  const [project, secret] = location.split('/');
  return `projects/${project}/secrets/${secret}`;
}

function readVersion({ name, payload }: GcpAnswer): SecretRead {
  const version = readChildName(name, versionName);
  const bytes = readChecked({ data: '', ...(payload as GcpAnswer | undefined) }, 'data', 'dataCrc32c');
  return { secret: new Secret(bytes), version, warnings: [] };
}

/** Who may read a secret need not be allowed to look at it. */
export async function findGcpCreationTime(
  client: GcpClient,
  name: string,
  signal: AbortSignal | undefined,
): Promise<Date | null> {
  try {
    return await client.call({
      action: 'look up a version',
      method: 'GET',
      name,
      read: ({ createTime }) => readTime(createTime),
      signal,
    });
  } catch {
    signal?.throwIfAborted();
    return null;
  }
}

/** "Secret Version [projects/…/versions/3] is in DISABLED state." */
function meaningOfState({ status, message }: GcpFailure): Meaning | undefined {
  if (status !== 'FAILED_PRECONDITION') return undefined;
  const { version, state } = /\/versions\/(?<version>\w+)\] is in (?<state>[A-Z]+) state/.exec(message)?.groups ?? {};
  if (version === undefined || state === undefined) return undefined;
  return {
    kind: 'key',
    reason: `version ${version} of the secret is ${state.toLowerCase()}`,
    hint: state === 'DISABLED' ? 'Enable the version, or ask for another one.' : 'Ask for a version that is enabled.',
  };
}
