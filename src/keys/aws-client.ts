import { readFile } from 'node:fs/promises';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { loadAuthorities } from '../core/certificate-authorities.ts';
import { assertProxies } from '../core/http-proxy.ts';
import { toAwsError } from './aws-errors.ts';
import type { Environment } from './read-secret.ts';

/** A call that is throttled or cut off is repeated after growing delays, of some 15 seconds in all at most. */
const maxAttempts = 5;
const connectTimeoutMs = 5_000;
/** Longest silence on a connection. */
const idleTimeoutMs = 10_000;

export interface AwsClientConfig {
  readonly maxAttempts: number;
  readonly requestHandler: NodeHttpHandler;
  readonly region?: string;
}

/**
 * How a client of the service that keeps `location` (a name or an ARN) is to be made. The region is that of the ARN;
 * otherwise, like the credentials and the endpoint, what the SDK finds in environment, profile and machine. Connections
 * heed HTTPS_PROXY, HTTP_PROXY and NO_PROXY, and trust AWS_CA_BUNDLE as well. Errors: `config`.
 */
export async function toAwsClientConfig(location: string, env: Environment): Promise<AwsClientConfig> {
  assertProxies(env);
  const ca = await loadAuthorities(env['AWS_CA_BUNDLE'] || undefined, async (path) => await readFile(path, 'utf8'));
  const agentOptions = { keepAlive: true, maxSockets: 50, proxyEnv: env };
  const region = /^arn:[^:]*:[^:]*:(?<region>[a-z0-9-]+):/.exec(location)?.groups?.['region'];
  return {
    maxAttempts,
    requestHandler: new NodeHttpHandler({
      connectionTimeout: connectTimeoutMs,
      socketTimeout: idleTimeoutMs,
      httpAgent: new HttpAgent(agentOptions),
      httpsAgent: new HttpsAgent({ ...agentOptions, ...(ca !== undefined && { ca }) }),
    }),
    ...(region !== undefined && { region }),
  };
}

export interface AwsCall {
  /** The end of `cannot …`. */
  readonly action: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * What the service answers to a request of the SDK; its failures are translated. The signal's reason is thrown as it is,
 * and at once: the SDK itself does not heed the signal while it looks for credentials.
 */
export async function callAws<Answer>(
  request: (options: { abortSignal?: AbortSignal }) => Promise<Answer>,
  { action, signal }: AwsCall,
): Promise<Answer> {
  signal?.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal?.reason);
  signal?.addEventListener('abort', onAbort);
  try {
    return await Promise.race([request(signal === undefined ? {} : { abortSignal: signal }), aborted.promise]);
  } catch (error) {
    signal?.throwIfAborted();
    throw toAwsError(error, action);
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}
