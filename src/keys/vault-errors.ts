import { BackupError, describeError } from '../core/backup-error.ts';
import type { Meaning } from '../core/meaning.ts';
import { isCertificateFault, isForeignToTls, isNetworkFault } from '../core/network-faults.ts';
import { errorCode } from '../core/error-code.ts';
import type { VaultAnswer } from './vault-http.ts';

/** An answer that is neither a success nor something that the caller knows to read. */
export class VaultFailure extends Error {
  override readonly name = 'VaultFailure';
  readonly status: number;
  readonly retryAfterMs: number | undefined;
  readonly isVault: boolean;
  readonly path: string;

  constructor({ status, retryAfterMs, isVault, errors }: VaultAnswer, path: string) {
    super(errors.join('; ').slice(0, 300));
    this.status = status;
    this.retryAfterMs = retryAfterMs;
    this.isVault = isVault;
    this.path = path;
  }
}

/** Vault does not take the token, and there is no other. */
export class TokenRefused extends Error {
  override readonly name = 'TokenRefused';
}

/** Vault does not let us log in; the message says how and why. */
export class LoginRefused extends Error {
  override readonly name = 'LoginRefused';
}

const transientStatuses = new Set([408, 412, 425, 429, 500, 502, 503, 504]);

/** Whether calling again can help. */
export function isTransientVaultError(error: unknown): boolean {
  if (error instanceof VaultFailure) return transientStatuses.has(error.status);
  return isNetworkFault(errorCode(error), describeError(error));
}

export function vaultRetryAfterMs(error: unknown): number | undefined {
  return error instanceof VaultFailure ? error.retryAfterMs : undefined;
}

/** What an error means; `action` says what was tried: `read secret vault:kv/a`. */
export function toVaultError(error: unknown, action: string): BackupError {
  if (error instanceof BackupError) return error;
  const { kind, reason, hint } = meaningOf(error);
  return new BackupError(kind, `cannot ${action}: ${reason}`, { hint, cause: error });
}

function meaningOf(error: unknown): Meaning {
  if (error instanceof VaultFailure) return meaningOfFailure(error);
  if (error instanceof TokenRefused) return tokenRefused;
  if (error instanceof LoginRefused) {
    return { kind: 'key', reason: error.message, hint: 'Check the role and the credentials that Vault asks of it.' };
  }
  return meaningOfNetwork(errorCode(error), describeError(error));
}

const tokenRefused: Meaning = {
  kind: 'key',
  reason: 'the Vault token is unknown, expired or revoked',
  hint: 'Log in to Vault again, or set VAULT_TOKEN to a valid token.',
};
const sealed: Meaning = { kind: 'key', reason: 'Vault is sealed', hint: 'Unseal it.' };
const busy: Meaning = {
  kind: 'key',
  reason: 'Vault is overloaded, or a quota of requests is used up',
  hint: 'Raise the quota, or try again later.',
};
const foreign: Meaning = { kind: 'config', reason: 'what answers is not Vault', hint: 'Correct VAULT_ADDR.' };

function meaningOfFailure({ status, isVault, message, path }: VaultFailure): Meaning {
  if (status === 503 && /sealed/i.test(message)) return sealed;
  if (status === 429) return busy;
  if (status >= 500)
    return { kind: 'key', reason: describe('Vault has failed', status, message), hint: 'Try again later.' };
  if (status >= 300 && status < 400) {
    return {
      kind: 'config',
      reason: 'Vault redirects to another server',
      hint: 'Set VAULT_ADDR to the active server.',
    };
  }
  if (!isVault) return foreign;
  if (status === 403) return toDenial(path);
  return { kind: 'key', reason: describe('Vault refuses the request', status, message) };
}

/** What may be known of a mount depends on the rights on the paths below it. */
function toDenial(path: string): Meaning {
  return {
    kind: 'key',
    reason: `permission denied on "${path.replace('sys/internal/ui/mounts/', '')}", or there is no such mount`,
    hint: 'Allow the token what docs/keys.md lists, or correct the path and VAULT_NAMESPACE.',
  };
}

function describe(what: string, status: number, message: string): string {
  return `${what} (HTTP ${status})${message === '' ? '' : `: ${message}`}`;
}

function meaningOfNetwork(code: string, text: string): Meaning {
  if (isCertificateFault(code)) {
    return {
      kind: 'key',
      reason: `the certificate of Vault is not trusted: ${text}`,
      hint: 'Name the file of its certificate authority in VAULT_CACERT, or correct VAULT_ADDR or VAULT_TLS_SERVER_NAME.',
    };
  }
  if (isForeignToTls(text)) return { ...foreign, reason: 'what answers does not speak TLS' };
  return {
    kind: 'key',
    reason: `cannot reach Vault: ${text === '' ? code : text}`,
    hint: 'Check that Vault runs, the network, the proxy and VAULT_ADDR.',
  };
}
