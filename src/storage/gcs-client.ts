import type { Agent } from 'node:http';
import { Storage } from '@google-cloud/storage';
import { BackupError } from '../core/backup-error.ts';
import { untilAborted } from '../core/until-aborted.ts';
import { CredentialsFailure } from './gcs-errors.ts';
import { createHttpAgent, readAuthorities } from './http-agent.ts';
import type { GcsSettings, StoreDeps, StoreTimings } from './store-settings.ts';

const googleEndpoint = 'https://storage.googleapis.com';

/** Where the JSON API is, and how requests to it are made and signed. */
export interface GcsClient extends Disposable {
  readonly agent: Agent;
  /** Without a slash at its end. */
  readonly endpoint: string;
  /** Whether everybody on the way can read what is sent. */
  readonly isInTheClear: boolean;
  /**
   * The headers that say who asks; none for a server that is not Google's when there are no credentials at all. Fails
   * with `CredentialsFailure`.
   */
  authorize(signal: AbortSignal | undefined): Promise<Readonly<Record<string, string>>>;
}

export interface GcsClientOptions {
  readonly settings: GcsSettings;
  readonly timings: StoreTimings;
  readonly deps: StoreDeps;
}

/**
 * A client for these settings. Credentials are the application default ones, which the SDK finds: the file of
 * GOOGLE_APPLICATION_CREDENTIALS (a service account's key, or a workload identity's configuration), gcloud's own, or the
 * metadata server of the machine.
 *
 * The SDK is asked for credentials only. Its uploads cannot go on from a buffer after a fault - they read a stream once
 * and keep what was sent since the last answer -, its requests are repeated inside, have no deadline for silence, and
 * STORAGE_EMULATOR_HOST makes it drop a path from the endpoint.
 */
export async function createGcsClient({ settings, timings, deps }: GcsClientOptions): Promise<GcsClient> {
  const env = deps.env ?? process.env;
  const endpoint = checkedEndpoint(settings.endpoint ?? emulatorEndpoint(env['STORAGE_EMULATOR_HOST']));
  const ca = await readAuthorities(settings.caFile);
  const agentFor = (url: string): Agent => createHttpAgent({ endpoint: url, ...timings, env, ca });
  const agent = agentFor(endpoint);
  const tokenAgent = agentFor(googleEndpoint);
  const storage = new Storage({
    // Without a project the SDK looks for one, by way of gcloud and the metadata server; requests for objects need none.
    projectId: env['GOOGLE_CLOUD_PROJECT'] ?? 'none',
    retryOptions: { autoRetry: false },
    clientOptions: { transporterOptions: { agent: tokenAgent, timeout: timings.idleTimeoutMs } },
  });
  return {
    endpoint,
    agent,
    isInTheClear: isInTheClear(endpoint),
    authorize: authorizer(storage, endpoint),
    [Symbol.dispose]: () => {
      agent.destroy();
      tokenAgent.destroy();
    },
  };
}

/** The SDK's own variable; a bare `host:port` is meant as HTTP by the emulators that set it. */
function emulatorEndpoint(host: string | undefined): string | undefined {
  if (host === undefined || host === '') return undefined;
  return /^https?:\/\//.test(host) ? host : `http://${host}`;
}

function checkedEndpoint(text = googleEndpoint): string {
  const url = URL.parse(text);
  const isUsable = url !== null && /^https?:$/.test(url.protocol) && url.hostname !== '';
  if (isUsable && url.username === '' && url.password === '' && url.search === '' && url.hash === '') {
    return url.href.replace(/\/+$/, '');
  }
  throw new BackupError('config', 'the endpoint is not an http or https address without credentials and query', {
    hint: 'Give it as https://HOST or https://HOST:PORT.',
  });
}

function authorizer(storage: Storage, endpoint: string): GcsClient['authorize'] {
  // A bearer token is as good as the credentials themselves.
  if (isInTheClear(endpoint)) return async () => ({});
  const isGoogle = /(^|\.)googleapis\.com$/.test(new URL(endpoint).hostname);
  let isAnonymous = false;
  return async (signal) => {
    if (isAnonymous) return {};
    try {
      const headers = await untilAborted(storage.authClient.getRequestHeaders(endpoint), signal);
      return Object.fromEntries(headers.entries());
    } catch (error) {
      signal?.throwIfAborted();
      const failure = new CredentialsFailure(error);
      if (isGoogle || !failure.isNoneFound) throw failure;
      isAnonymous = true;
      return {};
    }
  };
}

function isInTheClear(endpoint: string): boolean {
  const { protocol, hostname } = new URL(endpoint);
  const isLoopback = hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d+){3}$/.test(hostname);
  return protocol === 'http:' && !isLoopback;
}
