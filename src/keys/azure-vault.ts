import { DefaultAzureCredential, type TokenCredential } from '@azure/identity';
import type { SecretClientOptions } from '@azure/keyvault-secrets';
import { BackupError, describeError } from '../core/backup-error.ts';
import { assertProxies } from '../core/http-proxy.ts';
import type { Meaning } from '../core/meaning.ts';
import { unlessDone, withRetries, type RetryPolicy } from '../core/retry.ts';
import { untilAborted } from '../core/until-aborted.ts';
import { isTransientVaultFailure, toVaultError, VaultFailure, vaultRetryAfterMs } from './azure-vault-errors.ts';
import type { SecretAccess } from './read-secret.ts';

/** A call that is throttled or cut off is repeated after growing delays, of 3 seconds in all at most, or as the vault asks. */
const policy: RetryPolicy = { attempts: 5, firstDelayMs: 200, maxDelayMs: 5_000 };
/** For one try, with the look for an identity: the SDK's own deadline ends with the head of an answer. */
const timeoutMs = 20_000;

/** The options that the SDK's clients of a vault have in common. */
export type VaultClientOptions = Pick<
  SecretClientOptions,
  'additionalPolicies' | 'disableChallengeResourceVerification' | 'redirectOptions' | 'retryOptions'
>;

type AdditionalPolicy = NonNullable<SecretClientOptions['additionalPolicies']>[number]['policy'];

export interface VaultCall<Result> {
  /** The end of `cannot …`. */
  readonly action: string;
  readonly request: (options: { readonly abortSignal: AbortSignal }) => Promise<Result>;
  /** What a failure means to this call; nothing for one that means the same to all. */
  readonly meaningOf?: (failure: VaultFailure) => Meaning | undefined;
  /** What became of a call whose answer was lost, where it must not be carried out twice: as for `unlessDone`. */
  readonly findOutcome?: () => Promise<Result | undefined>;
}

/** One Azure Key Vault or managed HSM, and how it is called: by the identity that `DefaultAzureCredential` finds. */
export class AzureVault {
  /** `https://HOST`, without a slash at its end. */
  readonly url: string;
  /** What stands after the vault in the reference. */
  readonly itemName: string;
  readonly credential: TokenCredential;
  readonly clientOptions: VaultClientOptions;
  readonly #signal: AbortSignal | undefined;

  /** `location` is VAULT/NAME. Errors: `config` (vault, proxies, settings of the identity). */
  constructor(location: string, { env, signal }: SecretAccess) {
    assertProxies(env);
    const [vault = '', itemName = ''] = location.split('/');
    this.url = toVaultUrl(vault);
    this.itemName = itemName;
    this.credential = createCredential();
    this.clientOptions = {
      retryOptions: { maxRetries: 0 },
      redirectOptions: { maxRetries: 0 },
      // An emulator on this machine asks for tokens of Azure's own hosts; any other host that does so is an impostor.
      disableChallengeResourceVerification: isLoopback(new URL(this.url).hostname),
      additionalPolicies: [{ policy: fillEmptyRefusal, position: 'perRetry' }],
    };
    this.#signal = signal;
  }

  async call<Result>({ action, request, meaningOf, findOutcome }: VaultCall<Result>): Promise<Result> {
    const signal = this.#signal;
    try {
      return await withRetries(
        unlessDone(async () => await attempt(request, signal), findOutcome),
        {
          policy,
          isTransient: isTransientVaultFailure,
          retryAfterMs: vaultRetryAfterMs,
          signal,
        },
      );
    } catch (error) {
      signal?.throwIfAborted();
      throw toVaultError(error, action, meaningOf);
    }
  }
}

/** For a refusal without a body, such as a gateway's, the SDK has only a `TypeError`, which does not tell the status. */
const fillEmptyRefusal: AdditionalPolicy = {
  name: 'fillEmptyRefusal',
  sendRequest: async (request, next) => {
    const response = await next(request);
    return response.status >= 400 && !response.bodyAsText ? { ...response, bodyAsText: '{}' } : response;
  },
};

async function attempt<Result>(
  request: VaultCall<Result>['request'],
  signal: AbortSignal | undefined,
): Promise<Result> {
  const deadline = AbortSignal.timeout(timeoutMs);
  const abortSignal = signal === undefined ? deadline : AbortSignal.any([signal, deadline]);
  try {
    // Not all ways to find an identity can be cut off.
    return await untilAborted(request({ abortSignal }), abortSignal);
  } catch (error) {
    throw new VaultFailure(deadline.aborted ? deadline.reason : error);
  }
}

/** A short name is a vault of the public cloud; a name with a dot or a port is a whole host. */
function toVaultUrl(vault: string): string {
  const url = /[.:]/.test(vault) ? `https://${vault}` : `https://${vault}.vault.azure.net`;
  if (URL.canParse(url)) return url;
  throw new BackupError('config', `"${vault}" is not the name or the host of an Azure Key Vault`, {
    hint: 'Write the name of the vault, or its host with or without a port.',
  });
}

function createCredential(): TokenCredential {
  try {
    return new DefaultAzureCredential();
  } catch (error) {
    throw new BackupError('config', `cannot look for an Azure identity: ${describeError(error)}`, {
      hint: 'Correct the AZURE_ variables of the environment.',
      cause: error,
    });
  }
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname.endsWith('.localhost') || /^127(\.\d+){3}$/.test(hostname);
}
