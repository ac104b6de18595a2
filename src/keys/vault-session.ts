import { untilAborted } from '../core/until-aborted.ts';
import { toVaultToken, type VaultToken } from './vault-auth.ts';
import { TokenRefused } from './vault-errors.ts';
import type { VaultAnswer, VaultRequest } from './vault-http.ts';

export interface VaultSessionDeps {
  /** Takes the token that there is, or logs in. */
  readonly acquire: (signal: AbortSignal) => Promise<VaultToken>;
  readonly send: (request: VaultRequest, token: string, signal: AbortSignal) => Promise<VaultAnswer>;
  /** Whether `acquire` gives another token each time. */
  readonly canLogIn: boolean;
}

interface Login {
  readonly token: Promise<VaultToken>;
  readonly controller: AbortController;
  waiting: number;
}

const firstRenewalMs = 500;
const longestTimerMs = 2 ** 31 - 1;

/**
 * The token of one program run, which all calls share: it is taken when first needed, by one login however many wait
 * for it; renewed while something holds the session; and replaced by a new login when it is about to end and cannot be
 * renewed, or when Vault no longer takes it.
 */
export class VaultSession {
  readonly #deps: VaultSessionDeps;
  #token: VaultToken | undefined;
  #login: Login | undefined;
  #holders = 0;
  #timer: NodeJS.Timeout | undefined;
  #renewal = new AbortController();

  constructor(deps: VaultSessionDeps) {
    this.#deps = deps;
  }

  /** Keeps the token alive, as long as its maximum life allows, until disposed of. It does not keep the program alive. */
  hold(): Disposable {
    this.#holders += 1;
    this.#scheduleRenewal();
    let isHeld = true;
    return {
      [Symbol.dispose]: () => {
        if (isHeld) this.#release();
        isHeld = false;
      },
    };
  }

  async token(signal: AbortSignal | undefined): Promise<string> {
    const token = this.#token;
    const isEnding = token !== undefined && this.#deps.canLogIn && isAboutToEnd(token);
    if (token !== undefined && !isEnding) return token.text;
    return (await this.#acquire(signal)).text;
  }

  /** Another token than one that Vault has refused. Fails with `TokenRefused` when there is none. */
  async replace(refused: string, signal: AbortSignal | undefined): Promise<string> {
    if (this.#token?.text === refused) this.#token = undefined;
    const token = await this.token(signal);
    if (token === refused) throw new TokenRefused();
    return token;
  }

  /** A login ends when nobody waits for it any more; who comes later starts another. */
  async #acquire(signal: AbortSignal | undefined): Promise<VaultToken> {
    const login = (this.#login ??= this.#startLogin());
    login.waiting += 1;
    try {
      return await untilAborted(login.token, signal);
    } finally {
      login.waiting -= 1;
      if (this.#login === login && login.waiting === 0) this.#login = undefined;
      if (login.waiting === 0) login.controller.abort();
    }
  }

  #startLogin(): Login {
    const controller = new AbortController();
    const token = this.#logIn(controller.signal);
    // When all have gone, nobody hears of its failure.
    token.catch(() => {});
    return { token, controller, waiting: 0 };
  }

  async #logIn(signal: AbortSignal): Promise<VaultToken> {
    const token = await this.#deps.acquire(signal);
    this.#token = token;
    this.#scheduleRenewal();
    return token;
  }

  #release(): void {
    this.#holders -= 1;
    if (this.#holders > 0) return;
    clearTimeout(this.#timer);
    this.#renewal.abort();
    this.#renewal = new AbortController();
  }

  #scheduleRenewal(): void {
    clearTimeout(this.#timer);
    const token = this.#token;
    if (this.#holders === 0 || token?.ttlMs === undefined || !token.isRenewable) return;
    const delayMs = Math.max(firstRenewalMs, (token.expiresAt - Date.now()) * 0.6);
    this.#timer = setTimeout(() => void this.#renew(token), Math.min(delayMs, longestTimerMs));
    this.#timer.unref();
  }

  async #renew(token: VaultToken): Promise<void> {
    const renewed = await this.#tryToRenew(token);
    if (this.#token !== token) return;
    this.#token = renewed;
    this.#scheduleRenewal();
  }

  /** Never fails: a token that cannot be renewed is used until its end. */
  async #tryToRenew(token: VaultToken): Promise<VaultToken> {
    const request: VaultRequest = { method: 'POST', path: 'auth/token/renew-self', body: {} };
    try {
      const { status, auth } = await this.#deps.send(request, token.text, this.#renewal.signal);
      const renewed = toVaultToken(token.text, auth['lease_duration'], auth['renewable']);
      const isExtended = status === 200 && renewed.expiresAt > token.expiresAt + 1000;
      return isExtended ? renewed : { ...token, isRenewable: false };
    } catch {
      // Vault did not answer: again, as long as there is time.
      return { ...token, isRenewable: token.expiresAt > Date.now() };
    }
  }
}

/** Early enough for a call to be answered before the end. */
function isAboutToEnd({ ttlMs, expiresAt }: VaultToken): boolean {
  return ttlMs !== undefined && expiresAt - Date.now() < Math.min(5_000, ttlMs / 10);
}
