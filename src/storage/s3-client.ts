import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { BackupError, describeError } from '../core/backup-error.ts';
import { assertProxies } from '../core/http-proxy.ts';
import { readAuthorities } from './http-agent.ts';
import { isMd5Allowed, md5Of } from './md5.ts';
import { assertUsableEncryption } from './s3-encryption.ts';
import type { S3Settings, StoreDeps, StoreTimings } from './store-settings.ts';

/**
 * An S3 client for these settings. Credentials come from the SDK's default chain (environment, profiles, web identity,
 * container and machine roles). It never repeats a request: `withRetries` does, who knows what a repetition means.
 * Fails with `config` for settings that cannot work.
 */
export async function createS3Client(settings: S3Settings, timings: StoreTimings, deps: StoreDeps): Promise<S3Client> {
  const env = deps.env ?? process.env;
  const endpoint = settings.endpoint ?? environmentEndpoint(env);
  if (endpoint !== undefined) assertEndpoint(endpoint);
  assertUsableEncryption(settings.encryption, endpoint);
  const config: S3ClientConfig = {
    maxAttempts: 1,
    // Most S3-compatible servers have no wildcard name and certificate for their buckets.
    forcePathStyle: settings.forcePathStyle ?? endpoint !== undefined,
    // Otherwise the SDK opens a new connection for every part, and waits six seconds where the header is unknown.
    expectContinueHeader: false,
    requestHandler: new NodeHttpHandler({
      connectionTimeout: timings.connectTimeoutMs,
      socketTimeout: timings.idleTimeoutMs,
      ...createAgents(env, await readAuthorities(settings.caFile ?? environmentAuthorities(env))),
    }),
    ...(settings.checksumMode === 'when-required' && {
      requestChecksumCalculation: 'WHEN_REQUIRED' as const,
      responseChecksumValidation: 'WHEN_REQUIRED' as const,
    }),
    ...(endpoint !== undefined && { endpoint }),
  };
  const region =
    settings.region ?? (await configuredRegion(config)) ?? (endpoint === undefined ? undefined : 'us-east-1');
  if (region === undefined) {
    throw new BackupError('config', 'the region of the S3 store is not known', {
      hint: 'Give the region of the bucket, by option, AWS_REGION or the profile.',
    });
  }
  const client = new S3Client({ ...config, region });
  useContentMd5(client, settings.checksumMode === 'when-required');
  return client;
}

/** Connections go through the proxies that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name, in capitals or not. */
function createAgents(
  env: NodeJS.ProcessEnv,
  ca: string[] | undefined,
): { httpAgent: HttpAgent; httpsAgent: HttpsAgent } {
  assertProxies(env);
  const options = { keepAlive: true, maxSockets: 50, proxyEnv: env };
  return {
    httpAgent: new HttpAgent(options),
    httpsAgent: new HttpsAgent({ ...options, ...(ca !== undefined && { ca }) }),
  };
}

/** The variable of the AWS CLI, which the SDK does not know; like there, an empty one counts as none. */
function environmentAuthorities(env: Readonly<Record<string, string | undefined>>): string | undefined {
  return env['AWS_CA_BUNDLE'] || undefined;
}

/** The SDK's own variables for another endpoint; read here because other defaults depend on them. */
function environmentEndpoint(env: Readonly<Record<string, string | undefined>>): string | undefined {
  return env['AWS_ENDPOINT_URL_S3'] ?? env['AWS_ENDPOINT_URL'];
}

function assertEndpoint(endpoint: string): void {
  const url = URL.parse(endpoint);
  const isUsable = url !== null && /^https?:$/.test(url.protocol) && url.hostname !== '';
  if (isUsable && url.username === '' && url.password === '' && url.search === '') return;
  throw new BackupError('config', 'the S3 endpoint is not an http or https address without credentials and query', {
    hint: 'Give it as https://HOST or https://HOST:PORT.',
  });
}

/** The region from AWS_REGION or the profile, or nothing. Only a client can say: the lookup is its own. */
async function configuredRegion(config: S3ClientConfig): Promise<string | undefined> {
  const client = new S3Client(config);
  try {
    return await client.config.region();
  } catch (error) {
    if (describeError(error).includes('Region is missing')) return undefined;
    throw new BackupError('config', `the AWS configuration cannot be used: ${describeError(error)}`, { cause: error });
  }
}

const digestedCommands: ReadonlySet<string> = new Set([
  'DeleteObjectsCommand',
  'PutObjectRetentionCommand',
  'PutObjectLegalHoldCommand',
  'PutObjectTaggingCommand',
]);

/**
 * These requests must carry a digest of their body. Servers of before 2025 know only `Content-MD5`, which the SDK has
 * stopped to send (its supplemental-docs/MD5_FALLBACK.md); the newer header goes only where it is not unknown.
 */
function useContentMd5(client: S3Client, isOnlyDigest: boolean): void {
  // In FIPS mode the newer header has to do.
  if (!isOnlyDigest && !isMd5Allowed()) return;
  client.middlewareStack.add(
    (next, context) => async (args) => {
      const request = args.request as { headers?: Record<string, string>; body?: unknown };
      if (digestedCommands.has(String(context['commandName'])) && request.headers && typeof request.body === 'string') {
        const kept = Object.entries(request.headers).filter(([name]) => !isOnlyDigest || !isChecksumHeader(name));
        request.headers = Object.fromEntries(kept);
        request.headers['content-md5'] = md5Of(request.body);
      }
      return await next(args);
    },
    { name: 'contentMd5', step: 'build', priority: 'low' },
  );
}

function isChecksumHeader(name: string): boolean {
  return /^x-amz-(sdk-)?checksum-/i.test(name);
}
