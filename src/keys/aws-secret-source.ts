import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import type { GetSecretValueCommandInput, GetSecretValueCommandOutput } from '@aws-sdk/client-secrets-manager';
import { Secret } from '../core/secret.ts';
import { callAws, toAwsClientConfig } from './aws-client.ts';
import { unexpectedAnswer } from './aws-errors.ts';
import type { SecretAccess, SecretRead } from './read-secret.ts';
import type { SecretReference } from './secret-reference.ts';

/**
 * `aws-sm:NAME` or `aws-sm:ARN`: a secret of AWS Secrets Manager, text or binary. A version is the id of one, or a
 * staging label such as AWSPREVIOUS; AWSCURRENT by default. Needs `secretsmanager:GetSecretValue`.
 */
export async function readAwsSecret(reference: SecretReference, access: SecretAccess): Promise<SecretRead> {
  const client = new SecretsManagerClient(await toAwsClientConfig(reference.location, access.env));
  try {
    return await fetchAwsSecret(client, reference, access.signal);
  } finally {
    client.destroy();
  }
}

/** The same by a client that is there; it stays its owner's. */
export async function fetchAwsSecret(
  client: SecretsManagerClient,
  reference: SecretReference,
  signal: AbortSignal | undefined,
): Promise<SecretRead> {
  const action = `read secret ${reference.text}`;
  const command = new GetSecretValueCommand(toInput(reference));
  const answer = await callAws(async (options) => await client.send(command, options), { action, signal });
  const secret = toSecret(answer);
  if (secret === undefined) throw unexpectedAnswer(action);
  const { VersionId: version, CreatedDate: createdAt } = answer;
  return {
    secret,
    warnings: [],
    ...(version !== undefined && { version }),
    ...(createdAt !== undefined && { createdAt }),
  };
}

function toInput({ location, version }: SecretReference): GetSecretValueCommandInput {
  if (version === undefined) return { SecretId: location };
  return isVersionId(version)
    ? { SecretId: location, VersionId: version }
    : { SecretId: location, VersionStage: version };
}

/**
 * Ids have 32 to 64 characters (API reference of GetSecretValue, VersionId); most are UUIDs, but whoever writes a secret
 * may choose another, as Terraform does. A label may be as long, but hardly is.
 */
function isVersionId(version: string): boolean {
  return version.length >= 32 && version.length <= 64;
}

function toSecret({ SecretString: text, SecretBinary: bytes }: GetSecretValueCommandOutput): Secret | undefined {
  if (text !== undefined) return Secret.fromText(text);
  return bytes === undefined ? undefined : new Secret(bytes);
}
