import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { GoogleAuth } from 'google-auth-library';
import { assertProxies } from '../core/http-proxy.ts';
import { unlessDone, withRetries, type RetryPolicy } from '../core/retry.ts';
import { untilAborted } from '../core/until-aborted.ts';
import { isGoogleEndpoint, toGcpEndpoint } from './gcp-endpoint.ts';
import {
  CredentialsFailure,
  ForeignAnswer,
  GcpFailure,
  gcpRetryAfterMs,
  isTransientGcpError,
  toGcpError,
  type GcpService,
} from './gcp-errors.ts';
import { sendJson, type TextAnswer } from './send-json.ts';
import type { Environment } from './read-secret.ts';

/** A call that is throttled or cut off is repeated after growing delays, of 3 seconds in all at most, or as the service asks. */
const policy: RetryPolicy = { attempts: 5, firstDelayMs: 200, maxDelayMs: 5_000 };
const requestTimeoutMs = 10_000;
/** A secret has 64 KiB at most; nothing that is asked for has more. */
const maxTextBytes = 1024 * 1024;
const scope = 'https://www.googleapis.com/auth/cloud-platform';

export type GcpAnswer = Readonly<Record<string, unknown>>;

export interface GcpCall<Result> {
  /** The end of `cannot …`. */
  readonly action: string;
  readonly method: 'GET' | 'POST';
  /** Name of a resource or of a collection. */
  readonly name: string;
  /** What to do with it, where that is not what the method says. */
  readonly verb?: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: Readonly<Record<string, unknown>>;
  /** Takes what is wanted from the answer; fails with `DamagedAnswer` or `ForeignAnswer`. */
  readonly read: (answer: GcpAnswer) => Result;
  /** What became of a call whose answer was lost, where it must not be carried out twice: as for `unlessDone`. */
  readonly findOutcome?: () => Promise<Result | undefined>;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Calls one of Google Cloud's REST services. Only credentials come from Google's library: its clients of these services
 * cannot be aborted, have no deadline for an answer whose body stalls, and put the request's body, which is the data key,
 * into their errors.
 */
export class GcpClient implements Disposable {
  readonly #service: GcpService;
  readonly #endpoint: string;
  readonly #agent: HttpAgent | HttpsAgent;
  readonly #tokenAgent: HttpsAgent;
  readonly #authorize: Authorizer;

  /** Errors: `config` (endpoint, proxies). */
  constructor(service: GcpService, env: Environment) {
    assertProxies(env);
    this.#service = service;
    this.#endpoint = toGcpEndpoint(env[service.endpointVariable], service.endpointVariable, service.endpoint);
    const options = { keepAlive: true, maxSockets: 50, proxyEnv: env };
    this.#agent = this.#endpoint.startsWith('https:') ? new HttpsAgent(options) : new HttpAgent(options);
    this.#tokenAgent = new HttpsAgent(options);
    this.#authorize = createAuthorizer(this.#endpoint, this.#tokenAgent);
  }

  async call<Result>(call: GcpCall<Result>): Promise<Result> {
    const { action, signal } = call;
    try {
      const send = async (): Promise<Result> => call.read(parseAnswer(await this.#send(call)));
      return await withRetries(unlessDone(send, call.findOutcome), {
        policy,
        isTransient: isTransientGcpError,
        retryAfterMs: gcpRetryAfterMs,
        signal,
      });
    } catch (error) {
      signal?.throwIfAborted();
      throw toGcpError(error, action, this.#service);
    }
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
    this.#tokenAgent.destroy();
  }

  async #send({ method, body, signal, ...target }: GcpCall<unknown>): Promise<TextAnswer> {
    const answer = await sendJson({
      method,
      url: `${this.#endpoint}/v1/${toPath(target)}`,
      headers: await this.#authorize(signal),
      body,
      agent: this.#agent,
      timeoutMs: requestTimeoutMs,
      maxTextBytes,
      signal,
    });
    if (answer.status >= 200 && answer.status < 300) return answer;
    throw new GcpFailure(answer);
  }
}

function toPath({ name, verb, query = {} }: Pick<GcpCall<unknown>, 'name' | 'verb' | 'query'>): string {
  const path = name.split('/').map(encodeURIComponent).join('/');
  const search = new URLSearchParams(query).toString();
  return `${path}${verb === undefined ? '' : `:${verb}`}${search === '' ? '' : `?${search}`}`;
}

/** The parser's own error quotes the text, which may be the secret. */
function parseAnswer({ text }: TextAnswer): GcpAnswer {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return { ...value };
  } catch {}
  throw new ForeignAnswer();
}

type Authorizer = (signal: AbortSignal | undefined) => Promise<Record<string, string>>;

/**
 * The headers that say who asks, by the application default credentials; none for a server that is not Google's when
 * there are no credentials at all. Fails with `CredentialsFailure`.
 */
function createAuthorizer(endpoint: string, agent: HttpsAgent): Authorizer {
  const auth = new GoogleAuth({
    scopes: [scope],
    clientOptions: { transporterOptions: { agent, timeout: requestTimeoutMs } },
  });
  // As Google's own clients do: a service account signs its own tokens, and nothing has to ask for one.
  auth.useJWTAccessWithScope = true;
  let isAnonymous = false;
  return async (signal) => {
    if (isAnonymous) return {};
    try {
      const headers = await untilAborted(auth.getRequestHeaders(), signal);
      return Object.fromEntries(headers.entries());
    } catch (error) {
      signal?.throwIfAborted();
      const failure = new CredentialsFailure(error);
      if (isGoogleEndpoint(endpoint) || !failure.isNoneFound) throw failure;
      isAnonymous = true;
      return {};
    }
  };
}
