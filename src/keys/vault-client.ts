import { readFile } from 'node:fs/promises';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { BackupError } from '../core/backup-error.ts';
import { loadAuthorities } from '../core/certificate-authorities.ts';
import { assertProxies } from '../core/http-proxy.ts';
import { unlessDone, withRetries, type RetryPolicy } from '../core/retry.ts';
import type { Environment } from './read-secret.ts';
import { acquireToken } from './vault-auth.ts';
import { isTransientVaultError, toVaultError, vaultRetryAfterMs, VaultFailure } from './vault-errors.ts';
import { sendVault, type VaultAnswer, type VaultConnection, type VaultRequest } from './vault-http.ts';
import { VaultSession } from './vault-session.ts';
import { readVaultSettings, type VaultSettings } from './vault-settings.ts';

/**
 * A call that is throttled or cut off is repeated after growing delays, of 8 seconds in all at most (quotas are per
 * second by default), or as Vault asks.
 */
const policy: RetryPolicy = { attempts: 6, firstDelayMs: 250, maxDelayMs: 5_000 };

interface RepeatedRequest extends VaultRequest {
  /** What became of a call whose answer was lost, where it must not be carried out twice: as for `unlessDone`. */
  readonly findOutcome?: () => Promise<VaultAnswer | undefined>;
}

export interface VaultCall extends RepeatedRequest {
  /** The end of `cannot …`. */
  readonly action: string;
  readonly signal?: AbortSignal | undefined;
}

const clients = new WeakMap<Environment, Promise<VaultClient>>();

/**
 * The client of an environment; all that run in it share one, and with it one login. Asks Vault for nothing yet. Errors:
 * `config`.
 */
export async function openVaultClient(env: Environment): Promise<VaultClient> {
  const client = clients.get(env) ?? createClient(env);
  clients.set(env, client);
  try {
    return await client;
  } catch (error) {
    clients.delete(env);
    throw error;
  }
}

async function createClient(env: Environment): Promise<VaultClient> {
  const settings = readVaultSettings(env);
  assertProxies(env);
  const ca = await loadAuthorities(settings.caFile, async (path) => await readFile(path, 'utf8'));
  return new VaultClient(settings, env, ca);
}

/** Speaks Vault's HTTP API, which OpenBao has as well. */
export class VaultClient {
  readonly namespace: string;
  readonly #connection: VaultConnection;
  readonly #session: VaultSession;

  constructor(settings: VaultSettings, env: Environment, ca: string[] | undefined) {
    const { address, auth, namespace, serverName, timeoutMs } = settings;
    const options = { keepAlive: true, maxSockets: 50, proxyEnv: env };
    const tls = { ...(ca !== undefined && { ca }), ...(serverName !== undefined && { servername: serverName }) };
    const agent = address.startsWith('https:') ? new HttpsAgent({ ...options, ...tls }) : new HttpAgent(options);
    this.namespace = namespace;
    this.#connection = { address, agent, timeoutMs };
    this.#session = new VaultSession({
      canLogIn: auth.method !== 'token',
      acquire: async (signal) => {
        const send = async (request: VaultRequest, token?: string) => await this.#repeat(request, token, signal);
        return await acquireToken(auth, { env, signal, send });
      },
      send: async (request, token, signal) => await this.#repeat(request, token, signal),
    });
  }

  /** Keeps the token alive until disposed of, for who will call again after a long time. */
  hold(): Disposable {
    return this.#session.hold();
  }

  /**
   * Calls with a valid token and gives the answer when it is a success, 400 or 404, which mean something else to each
   * caller. Throttled and broken calls are repeated. Errors: `key` when Vault refuses the token, the login or the
   * permission, is sealed, or does not answer; `config` when it is not Vault that answers; the signal's reason.
   */
  async call({ action, signal, ...request }: VaultCall): Promise<VaultAnswer> {
    assertPath(request.path, action);
    try {
      const token = await this.#session.token(signal);
      const answer = await this.#repeat(request, token, signal);
      if (answer.status !== 403) return answer;
      if (await this.#isValid(token, signal)) throw new VaultFailure(answer, request.path);
      const second = await this.#repeat(request, await this.#session.replace(token, signal), signal);
      if (second.status !== 403) return second;
      throw new VaultFailure(second, request.path);
    } catch (error) {
      signal?.throwIfAborted();
      throw toVaultError(error, action);
    }
  }

  /** Tells a refused permission from a token that is no longer valid: both are 403. */
  async #isValid(token: string, signal: AbortSignal | undefined): Promise<boolean> {
    const { status } = await this.#repeat({ method: 'GET', path: 'auth/token/lookup-self' }, token, signal);
    return status === 200;
  }

  async #repeat(
    { findOutcome, ...request }: RepeatedRequest,
    token: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<VaultAnswer> {
    const send = async (): Promise<VaultAnswer> => await this.#send(request, token, signal);
    return await withRetries(unlessDone(send, findOutcome), {
      policy,
      isTransient: isTransientVaultError,
      retryAfterMs: vaultRetryAfterMs,
      signal,
    });
  }

  async #send(request: VaultRequest, token: string | undefined, signal: AbortSignal | undefined): Promise<VaultAnswer> {
    const headers = {
      // Agents in front of Vault may demand it, against forged requests.
      'x-vault-request': 'true',
      ...(this.namespace !== '' && { 'x-vault-namespace': this.namespace }),
      ...(token !== undefined && { 'x-vault-token': token }),
    };
    const answer = await sendVault(this.#connection, { ...request, headers }, signal);
    if (answer.isVault && isReadable(answer)) return answer;
    throw new VaultFailure(answer, request.path);
  }
}

function isReadable({ status, errors }: VaultAnswer): boolean {
  if (status >= 200 && status < 300) return true;
  // Servers differ in whether a ciphertext that does not open is the client's fault or their own.
  if (status === 500) return errors.some((text) => text.includes('message authentication failed'));
  return [400, 403, 404].includes(status);
}

/** A URL would take these for what is above. */
function assertPath(path: string, action: string): void {
  if (!path.split('/').some((segment) => segment === '.' || segment === '..')) return;
  throw new BackupError('config', `cannot ${action}: "." and ".." are no part of a path in Vault`);
}
