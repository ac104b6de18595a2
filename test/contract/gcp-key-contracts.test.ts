import { after } from 'node:test';
import type { KeyWrapper } from '../../src/core/key-wrapper.ts';
import { openKeyWrapper } from '../../src/keys/open-key-wrapper.ts';
import { isSecret, parseKeyReference } from '../../src/keys/secret-reference.ts';
import { GcpKmsDouble } from '../support/gcp-kms-double.ts';
import { ownGoogleEnvironment } from '../support/google-environment.ts';
import { testKeyWrapper } from './key-wrapper-contract.ts';

const environment = await ownGoogleEnvironment();
after(async () => await environment[Symbol.asyncDispose]());

const kms = await GcpKmsDouble.start(environment.folder);
process.env['GOOGLE_APPLICATION_CREDENTIALS'] = kms.rest.keyFile;
after(async () => await kms[Symbol.asyncDispose]());

async function openWrapper(suffix = '', signal?: AbortSignal): Promise<KeyWrapper> {
  const reference = parseKeyReference(`gcp-kms:${kms.keyName}${suffix}`);
  if (isSecret(reference)) throw new Error('not a wrapper');
  const env = { LIBRELOG_BACKUP_GCP_KMS_ENDPOINT: kms.rest.endpoint };
  return await openKeyWrapper(reference, { env, ...(signal !== undefined && { signal }) });
}

testKeyWrapper('Google Cloud KMS', {
  provider: 'gcp-kms',
  open: async (signal) => await openWrapper('', signal),
  openOther: async () => await openWrapper('-other'),
  openMissing: async () => await openWrapper('-missing'),
  bindsContext: true,
  rotate: async () => await Promise.resolve(kms.addVersion()),
  disable: async (version) => await Promise.resolve(kms.setState(Number(version), 'DISABLED')),
});
