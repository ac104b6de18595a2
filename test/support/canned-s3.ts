import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { openStore } from '../../src/storage/open-store.ts';
import type { S3Settings, StoreTimings } from '../../src/storage/store-settings.ts';
import { CannedHttp, type CannedAnswer, type SeenRequest } from './canned-http.ts';

/** Waits for servers that answer at once or never. */
export const impatient: StoreTimings = {
  connectTimeoutMs: 1_000,
  idleTimeoutMs: 1_000,
  retry: { attempts: 2, firstDelayMs: 1, maxDelayMs: 1 },
  patientRetry: { attempts: 3, firstDelayMs: 1, maxDelayMs: 1 },
};

/** Hides the AWS configuration of whoever runs the tests, and gives a key; restores everything when disposed. */
export async function ownAwsEnvironment(): Promise<AsyncDisposable & { readonly folder: string }> {
  const saved = { ...process.env };
  const folder = await mkdtemp(join(tmpdir(), 'aws-'));
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) delete process.env[name];
  process.env['AWS_EC2_METADATA_DISABLED'] = 'true';
  process.env['AWS_CONFIG_FILE'] = join(folder, 'config');
  process.env['AWS_SHARED_CREDENTIALS_FILE'] = join(folder, 'credentials');
  process.env['AWS_ACCESS_KEY_ID'] = 'key-id';
  process.env['AWS_SECRET_ACCESS_KEY'] = 'secret-key';
  const restore = async (): Promise<void> => {
    process.env = saved;
    await rm(folder, { recursive: true });
  };
  return { folder, [Symbol.asyncDispose]: restore };
}

export type OpenCanned = (settings?: S3Settings) => Promise<ObjectStore>;

/** Runs `use` with a server that gives these answers, and a way to open `s3://my.bucket/pre fix` on it. */
export async function withAnswers(
  answer: (request: SeenRequest) => CannedAnswer,
  use: (open: OpenCanned, server: CannedHttp) => Promise<void>,
): Promise<void> {
  await using server = await CannedHttp.start(answer);
  const open = async (settings: S3Settings = {}): Promise<ObjectStore> =>
    await openStore(
      's3://my.bucket/pre fix',
      { s3: { endpoint: server.endpoint, ...settings } },
      { timings: impatient },
    );
  await use(open, server);
}

export function errorBody(code: string, message = ''): string {
  return `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`;
}
