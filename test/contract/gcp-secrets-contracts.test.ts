import { randomUUID } from 'node:crypto';
import { after } from 'node:test';
import { GcpSecretsDouble } from '../support/gcp-secrets-double.ts';
import { ownGoogleEnvironment } from '../support/google-environment.ts';
import { testKeyAdmin } from './key-admin-contract.ts';
import { testSecretSource } from './secret-source-contract.ts';

const environment = await ownGoogleEnvironment();
after(async () => await environment[Symbol.asyncDispose]());

const double = await GcpSecretsDouble.start(environment.folder);
after(async () => await double[Symbol.asyncDispose]());
process.env['GOOGLE_APPLICATION_CREDENTIALS'] = double.rest.keyFile;

const env = (): Record<string, string> => ({ LIBRELOG_BACKUP_GCP_SECRETS_ENDPOINT: double.rest.endpoint });

async function put(value: string, name: string = randomUUID()): Promise<string> {
  double.add(name, value);
  return await Promise.resolve(`gcp-sm:test-project/${name}`);
}

testSecretSource('Google Secret Manager', {
  env,
  put,
  putFields: async (fields) => await put(JSON.stringify(fields)),
  putAgain: async (reference, value) => void (await put(value, reference.slice(reference.lastIndexOf('/') + 1))),
  missing: 'gcp-sm:test-project/missing',
  missingVersion: '99',
});

testKeyAdmin('Google Secret Manager', {
  env,
  newReference: async () => await Promise.resolve(`gcp-sm:test-project/${randomUUID()}`),
  destroys: 'a version',
  hasVersions: true,
  remembersDates: true,
});

testKeyAdmin('a field in Google Secret Manager', {
  env,
  newReference: async () => await Promise.resolve(`gcp-sm:test-project/${randomUUID()}#key`),
  destroys: 'a version',
  hasVersions: true,
  remembersDates: true,
});
