import { after } from 'node:test';
import type { KeyWrapper } from '../../src/core/key-wrapper.ts';
import { openKeyWrapper } from '../../src/keys/open-key-wrapper.ts';
import { isSecret, parseKeyReference } from '../../src/keys/secret-reference.ts';
import { GcpKmsDouble } from '../support/gcp-kms-double.ts';
import { ownGoogleEnvironment } from '../support/google-environment.ts';
import { testKeyAdmin } from './key-admin-contract.ts';
import { testKeyWrapper } from './key-wrapper-contract.ts';

const environment = await ownGoogleEnvironment();
after(async () => await environment[Symbol.asyncDispose]());

/** One of these has one key. */
async function start(): Promise<GcpKmsDouble> {
  const double = await GcpKmsDouble.start(environment.folder);
  after(async () => await double[Symbol.asyncDispose]());
  return double;
}

function use({ rest }: GcpKmsDouble): Record<string, string> {
  process.env['GOOGLE_APPLICATION_CREDENTIALS'] = rest.keyFile;
  return { LIBRELOG_BACKUP_GCP_KMS_ENDPOINT: rest.endpoint };
}

const kms = await start();

async function openWrapper(suffix = '', signal?: AbortSignal): Promise<KeyWrapper> {
  const reference = parseKeyReference(`gcp-kms:${kms.keyName}${suffix}`);
  if (isSecret(reference)) throw new Error('not a wrapper');
  return await openKeyWrapper(reference, { env: use(kms), ...(signal !== undefined && { signal }) });
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

let newest = kms;

testKeyAdmin('Google Cloud KMS', {
  env: () => use(newest),
  newReference: async () => {
    newest = await start();
    newest.removeKey();
    return `gcp-kms:${newest.keyName}`;
  },
  destroys: 'a version',
  hasVersions: true,
  remembersDates: true,
});
