import { randomUUID } from 'node:crypto';
import { after } from 'node:test';
import { CreateAliasCommand, CreateKeyCommand } from '@aws-sdk/client-kms';
import { PutSecretValueCommand } from '@aws-sdk/client-secrets-manager';
import type { KeyWrapper } from '../../src/core/key-wrapper.ts';
import { openKeyWrapper } from '../../src/keys/open-key-wrapper.ts';
import { isSecret, parseKeyReference } from '../../src/keys/secret-reference.ts';
import { testKeyAdmin } from '../contract/key-admin-contract.ts';
import { testKeyWrapper } from '../contract/key-wrapper-contract.ts';
import { testSecretSource } from '../contract/secret-source-contract.ts';
import { makeSecret, motoEnvironment, ownerClients } from '../support/moto-server.ts';

const environment = await motoEnvironment();
after(async () => await environment[Symbol.asyncDispose]());

async function makeKey(): Promise<string> {
  const { KeyMetadata } = await ownerClients().kms.send(new CreateKeyCommand({}));
  return KeyMetadata?.Arn ?? '';
}

async function makeAlias(arn: string): Promise<string> {
  const name = `alias/test-${randomUUID()}`;
  await ownerClients().kms.send(new CreateAliasCommand({ AliasName: name, TargetKeyId: arn }));
  return name;
}

async function openWrapper(location: string, signal?: AbortSignal): Promise<KeyWrapper> {
  const reference = parseKeyReference(`aws-kms:${location}`);
  if (isSecret(reference)) throw new Error('not a wrapper');
  return await openKeyWrapper(reference, { env: process.env, ...(signal !== undefined && { signal }) });
}

function idOf(arn: string): string {
  return arn.slice(arn.lastIndexOf('/') + 1);
}

const [key, other] = [await makeKey(), await makeKey()];
const missing = key.replace(/key\/.*/, `key/${randomUUID()}`);

for (const [kind, location, otherLocation] of [
  ['ARN', key, other],
  ['id', idOf(key), idOf(other)],
  ['alias', await makeAlias(key), await makeAlias(other)],
] as const) {
  // KMS finds the version of its key by itself.
  testKeyWrapper(`AWS KMS, key by its ${kind}`, {
    provider: 'aws-kms',
    open: async (signal) => await openWrapper(location, signal),
    openOther: async () => await openWrapper(otherLocation),
    openMissing: async () => await openWrapper(missing),
    bindsContext: true,
  });
}

for (const kind of ['name', 'arn'] as const) {
  const put = async (value: string): Promise<string> => `aws-sm:${(await makeSecret(value))[kind]}`;
  testSecretSource(`AWS Secrets Manager, secret by its ${kind}`, {
    env: () => process.env,
    put,
    putFields: async (fields) => await put(JSON.stringify(fields)),
    putAgain: async (reference, value) => {
      const SecretId = reference.slice('aws-sm:'.length);
      await ownerClients().secrets.send(new PutSecretValueCommand({ SecretId, SecretString: value }));
    },
    missing: 'aws-sm:no/such',
    missingVersion: randomUUID(),
  });
}

for (const [place, field] of [
  ['AWS Secrets Manager', ''],
  ['a field in AWS Secrets Manager', '#key'],
] as const) {
  testKeyAdmin(place, {
    env: () => process.env,
    newReference: async () => await Promise.resolve(`aws-sm:test/${randomUUID()}${field}`),
    destroys: 'nothing',
    hasVersions: true,
    remembersDates: false,
  });
}

testKeyAdmin('AWS KMS', {
  env: () => process.env,
  newReference: async () => await Promise.resolve(`aws-kms:alias/test-${randomUUID()}`),
  destroys: 'the key',
  hasVersions: false,
  remembersDates: true,
});
