import { CreateSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { KMSClient } from '@aws-sdk/client-kms';
import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { ownAwsEnvironment } from './canned-s3.ts';

export const region = 'eu-west-1';

/** The address of the server that test/servers/moto.sh started. */
export function motoEndpoint(): string {
  const endpoint = process.env['LIBRELOG_TEST_AWS_ENDPOINT'];
  if (endpoint === undefined) throw new Error('LIBRELOG_TEST_AWS_ENDPOINT is missing: start test/servers/moto.sh');
  return endpoint;
}

export interface MotoClients {
  readonly secrets: SecretsManagerClient;
  readonly kms: KMSClient;
}

/** Clients of the server's owner, who may do everything. */
export function ownerClients(): MotoClients {
  const credentials = { accessKeyId: 'owner', secretAccessKey: 'owner' };
  const config = { region, endpoint: motoEndpoint(), credentials };
  return { secrets: new SecretsManagerClient(config), kms: new KMSClient(config) };
}

/** Leads the SDK to the server for all services; restores everything when disposed. */
export async function motoEnvironment(): Promise<AsyncDisposable & { readonly folder: string }> {
  const endpoint = motoEndpoint();
  const environment = await ownAwsEnvironment();
  process.env['AWS_ENDPOINT_URL'] = endpoint;
  process.env['AWS_REGION'] = region;
  return environment;
}

/** Makes a secret with an unheard-of name; its versions follow in order. */
export async function makeSecret(value: string | Uint8Array): Promise<{ name: string; arn: string }> {
  const name = `test/${randomUUID()}`;
  const content = typeof value === 'string' ? { SecretString: value } : { SecretBinary: value };
  const { ARN: arn = '' } = await ownerClients().secrets.send(new CreateSecretCommand({ Name: name, ...content }));
  return { name, arn };
}

/** A user who may do nothing but take on a role, which may do `actions`. */
export interface RestrictedUser {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly roleArn: string;
}

export async function makeRestrictedUser(actions: readonly string[]): Promise<RestrictedUser> {
  const name = `user-${randomUUID()}`;
  await askIam({ Action: 'CreateUser', UserName: name });
  const key = await askIam({ Action: 'CreateAccessKey', UserName: name });
  const trust = policy(['sts:AssumeRole'], { Principal: { AWS: '*' } });
  const role = await askIam({ Action: 'CreateRole', RoleName: name, AssumeRolePolicyDocument: trust });
  const rights = { PolicyName: 'backup', PolicyDocument: policy(actions, { Resource: '*' }) };
  await askIam({ Action: 'PutRolePolicy', RoleName: name, ...rights });
  const entry = { PolicyName: 'entry', PolicyDocument: policy(['sts:AssumeRole'], { Resource: '*' }) };
  await askIam({ Action: 'PutUserPolicy', UserName: name, ...entry });
  return {
    accessKeyId: element(key, 'AccessKeyId'),
    secretAccessKey: element(key, 'SecretAccessKey'),
    roleArn: element(role, 'Arn'),
  };
}

/** Whether the server checks signatures and permissions from now on; at first it lets everybody do everything. */
export async function checkPermissions(isOn: boolean): Promise<void> {
  const response = await fetch(`${motoEndpoint()}/moto-api/reset-auth`, { method: 'POST', body: isOn ? '0' : 'inf' });
  if (!response.ok) throw new Error(`moto: ${response.status}`);
}

/** Writes the AWS configuration file: a profile `base` with the user's keys, and `backup`, which takes on the role. */
export async function writeProfiles(path: string, user: RestrictedUser): Promise<void> {
  const base = `[profile base]\naws_access_key_id=${user.accessKeyId}\naws_secret_access_key=${user.secretAccessKey}\n`;
  await writeFile(path, `${base}[profile backup]\nrole_arn=${user.roleArn}\nsource_profile=base\n`);
}

function policy(actions: readonly string[], rest: object): string {
  return JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: actions, ...rest }] });
}

/** The query protocol of IAM; the server looks at the name of the service only. */
async function askIam(parameters: Readonly<Record<string, string>>): Promise<string> {
  const authorization =
    'AWS4-HMAC-SHA256 Credential=owner/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0';
  const body = new URLSearchParams({ Version: '2010-05-08', ...parameters });
  const response = await fetch(motoEndpoint(), { method: 'POST', headers: { authorization }, body });
  const text = await response.text();
  if (!response.ok) throw new Error(`moto: ${parameters['Action']}: ${response.status} ${text}`);
  return text;
}

function element(xml: string, name: string): string {
  const value = new RegExp(`<${name}>([^<]+)</${name}>`).exec(xml)?.[1];
  if (value === undefined) throw new Error(`moto: no ${name} in ${xml}`);
  return value;
}
