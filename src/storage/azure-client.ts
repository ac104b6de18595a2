import type { TokenCredential } from '@azure/identity';
import { ContainerClient, newPipeline, StorageSharedKeyCredential } from '@azure/storage-blob';
import { findAzureAccess, type AzureAccess } from './azure-credentials.ts';
import { createHttpAgent, readAuthorities } from './http-agent.ts';
import type { AzureSettings, StoreDeps, StoreTimings } from './store-settings.ts';
import type { StoreUrl } from './store-url.ts';

export interface AzureClient extends Disposable {
  readonly container: ContainerClient;
  readonly isEncryptedInTransit: boolean;
}

export interface AzureClientOptions {
  readonly url: Extract<StoreUrl, { scheme: 'az' }>;
  readonly settings: AzureSettings;
  readonly timings: StoreTimings;
  readonly deps: StoreDeps;
}

/**
 * A client of one container. It never repeats a request: `withRetries` does, who knows what a repetition means. Fails
 * with `config` for settings that cannot work (`findAzureAccess`).
 */
export async function createAzureClient({ url, settings, timings, deps }: AzureClientOptions): Promise<AzureClient> {
  const env = deps.env ?? process.env;
  const access = findAzureAccess({ account: url.account, endpoint: settings.endpoint, env });
  const ca = await readAuthorities(settings.caFile);
  const agent = createHttpAgent({ endpoint: access.endpoint, ...timings, env, ca });
  const options = { retryOptions: { maxTries: 1 }, agent };
  const pipeline = newPipeline(await toCredential(url.account, access, { timings, ca }), options);
  const query = access.credential.kind === 'sas' ? `?${access.credential.token}` : '';
  return {
    container: new ContainerClient(`${access.endpoint}/${encodeURIComponent(url.container)}${query}`, pipeline),
    isEncryptedInTransit: access.endpoint.startsWith('https:'),
    [Symbol.dispose]: () => agent.destroy(),
  };
}

type Credential = StorageSharedKeyCredential | TokenCredential | undefined;

async function toCredential(
  account: string,
  { credential }: AzureAccess,
  { timings, ca }: { readonly timings: StoreTimings; readonly ca: string[] | undefined },
): Promise<Credential> {
  switch (credential.kind) {
    case 'sharedKey':
      return new StorageSharedKeyCredential(account, credential.accountKey);
    case 'sas':
      return undefined;
    case 'identity': {
      const { DefaultAzureCredential } = await import('@azure/identity');
      const identity = new DefaultAzureCredential(ca === undefined ? {} : { tlsOptions: { ca } });
      return withDeadline(identity, timings.idleTimeoutMs);
    }
  }
}

/** Tokens come from other servers and programs, by the SDK's own connections, which may be silent for ever. */
function withDeadline(credential: TokenCredential, timeoutMs: number): TokenCredential {
  return {
    getToken: async (scopes, options) => {
      const { promise: late, reject } = Promise.withResolvers<never>();
      const timer = setTimeout(() => {
        reject(Object.assign(new Error('no access token in time'), { name: 'IdentityTimeoutError' }));
      }, timeoutMs);
      try {
        return await Promise.race([credential.getToken(scopes, options), late]);
      } finally {
        clearTimeout(timer);
      }
    },
  };
}
