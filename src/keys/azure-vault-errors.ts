import { BackupError, describeError } from '../core/backup-error.ts';
import type { Meaning } from '../core/meaning.ts';
import { isCertificateFault, isNetworkFault, parseRetryAfterMs } from '../core/network-faults.ts';

/**
 * What is kept of an error of the SDK: that one holds the request, whose body is the data key, and, when an answer cannot
 * be parsed, quotes the answer, which may be the secret.
 */
export class VaultFailure extends Error {
  override readonly name = 'VaultFailure';
  readonly kindOfError: string;
  /** Key Vault's code, the inner one where there is one ("Azure Key Vault REST API error codes"), or Node's. */
  readonly code: string;
  readonly status: number | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(cause: unknown) {
    const fields = (cause ?? {}) as SdkFields;
    const { name = 'Error', code, statusCode, response } = fields;
    const isQuoted = code === 'PARSE_ERROR' || cause instanceof SyntaxError;
    super(isQuoted ? 'the answer cannot be read' : firstLine(describeError(cause)));
    this.kindOfError = name;
    this.code = innerCodeOf(fields) ?? (typeof code === 'string' ? code : '');
    this.status = statusCode;
    this.retryAfterMs = parseRetryAfterMs(response?.headers?.get('retry-after'));
  }
}

/** The fields of the SDK's and of Node's errors that are read here; any may be missing. */
interface SdkFields {
  readonly name?: string;
  readonly code?: unknown;
  readonly statusCode?: number;
  /** The answer, where it could be read. */
  readonly details?: { readonly error?: { readonly innerError?: { readonly code?: string } } };
  readonly response?: {
    readonly bodyAsText?: string | null;
    readonly headers?: { get(name: string): string | undefined };
  };
}

function firstLine(text: string): string {
  return text.trim().split(/\r?\n/, 1)[0] ?? '';
}

function innerCodeOf({ details, response }: SdkFields): string | undefined {
  const inBody = /"innererror"\s*:\s*\{\s*"code"\s*:\s*"(?<code>\w+)"/.exec(response?.bodyAsText ?? '');
  return details?.error?.innerError?.code ?? inBody?.groups?.['code'];
}

/** Whether calling again can help. */
export function isTransientVaultFailure(error: unknown): boolean {
  if (!(error instanceof VaultFailure)) return false;
  const { code, message, status = 0, kindOfError } = error;
  if (kindOfError === 'TimeoutError' || isNetworkFault(code, message)) return true;
  // The answer was cut, or the connection was closed without one.
  if (status === 0 && (code === 'PARSE_ERROR' || code === 'REQUEST_SEND_ERROR')) return true;
  return status === 408 || status === 429 || isServerFault(status);
}

function isServerFault(status: number): boolean {
  return status >= 500 && status !== 501 && status !== 505;
}

export function vaultRetryAfterMs(error: unknown): number | undefined {
  return error instanceof VaultFailure ? error.retryAfterMs : undefined;
}

/** What a failure means; `action` says what was tried: `read secret azure-kv:safe/x`. */
export function toVaultError(
  error: unknown,
  action: string,
  special?: (failure: VaultFailure) => Meaning | undefined,
): BackupError {
  if (error instanceof BackupError) return error;
  const failure = error instanceof VaultFailure ? error : new VaultFailure(error);
  const { kind, reason, hint } = special?.(failure) ?? meaningOf(failure);
  return new BackupError(kind, `cannot ${action}: ${reason}`, { hint, cause: failure });
}

/** Whether a translated failure stands for the vault's error of this code. */
export function isVaultFailure(error: unknown, code: string): boolean {
  return error instanceof BackupError && error.cause instanceof VaultFailure && error.cause.code === code;
}

/** Refusals of what only those may do who look after keys. */
export function meaningForOfficer(failure: VaultFailure): Meaning | undefined {
  if (meaningOf(failure) !== denied) return undefined;
  return {
    ...denied,
    hint: 'Give the identity the role Key Vault Secrets Officer, or for a key Key Vault Crypto Officer (Managed HSM Crypto User in a managed HSM).',
  };
}

/** The failure of a vault whose answer lacks what was asked for. */
export function unexpectedVaultAnswer(action: string): BackupError {
  return new BackupError(foreign.kind, `cannot ${action}: ${foreign.reason}`, { hint: foreign.hint });
}

const foreign: Meaning = {
  kind: 'config',
  reason: 'what answers is not an Azure Key Vault',
  hint: 'Correct the vault in the reference.',
};
const denied: Meaning = {
  kind: 'key',
  reason: 'permission denied',
  hint: 'Give the identity the role Key Vault Secrets User, or for a key Key Vault Crypto Service Encryption User.',
};
const refused: Meaning = {
  kind: 'key',
  reason: 'the vault does not accept the identity',
  hint: "Sign in to the tenant of the vault's subscription.",
};
const missing: Meaning = {
  kind: 'key',
  reason: 'there is no such secret, key or version, or it was deleted',
  hint: 'Correct the name or the version, or recover what was deleted.',
};
const disabled: Meaning = { kind: 'key', reason: 'it is disabled', hint: 'Enable the version in the vault.' };
const deleted: Meaning = { kind: 'key', reason: 'it was deleted', hint: 'Recover it in the vault.' };
const noIdentity: Meaning = {
  kind: 'key',
  reason: 'no Azure identity found, or it was refused',
  hint: 'Set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, give this machine a managed identity, or run `az login`.',
};
const firewall: Meaning = {
  kind: 'key',
  reason: 'the firewall of the vault does not let this machine in',
  hint: "Add this machine's address or network to the firewall of the vault.",
};

const meaningByCode: ReadonlyMap<string, Meaning> = new Map<string, Meaning>(
  Object.entries({
    SecretNotFound: missing,
    KeyNotFound: missing,
    SecretDisabled: disabled,
    KeyDisabled: disabled,
    ObjectIsDeletedButRecoverable: deleted,
    ObjectIsBeingDeleted: deleted,
    AccessDenied: denied,
    ForbiddenByPolicy: denied,
    ForbiddenByRbac: denied,
    ForbiddenByFirewall: firewall,
    ForbiddenByConnection: firewall,
    ENOTFOUND: {
      kind: 'key',
      reason: 'there is no vault of this name, or no name service',
      hint: 'Correct the vault, or check the network.',
    },
  }),
);

/** Texts of refusals that have no code of their own. */
const meaningByText: readonly (readonly [RegExp, Meaning])[] = [
  [/disabled (key|secret)/i, disabled],
  [
    /expired (key|secret)/i,
    { kind: 'key', reason: 'it has expired', hint: 'Rotate it, or set a later date of expiry in the vault.' },
  ],
  [
    /not yet valid/i,
    { kind: 'key', reason: 'it is not valid yet', hint: 'Set an earlier date of activation in the vault.' },
  ],
  [
    /challenge resource .* does not match/i,
    {
      kind: 'config',
      reason: 'the vault asks for a token for another service',
      hint: "Correct the vault: it is Azure's own host that has to answer.",
    },
  ],
];

const meaningByErrorName: ReadonlyMap<string, Meaning> = new Map<string, Meaning>(
  Object.entries({
    AggregateAuthenticationError: noIdentity,
    AuthenticationError: noIdentity,
    AuthenticationRequiredError: noIdentity,
    CredentialUnavailableError: noIdentity,
    TimeoutError: {
      kind: 'key',
      reason: 'neither the vault nor the identity has answered in time',
      hint: 'Check the network, the proxy and the vault.',
    },
    // How the SDK meets answers that lack what every answer of a vault has.
    RangeError: foreign,
    SyntaxError: foreign,
    TypeError: foreign,
  }),
);

function meaningOf(failure: VaultFailure): Meaning {
  const { kindOfError, code, message, status } = failure;
  const named = meaningByErrorName.get(kindOfError) ?? meaningByCode.get(code);
  if (named !== undefined) return named;
  const byText = meaningByText.find(([pattern]) => pattern.test(message));
  return byText?.[1] ?? (status === undefined ? meaningOfNetwork(failure) : meaningOfStatus(status, failure));
}

function meaningOfStatus(status: number, { code, message }: VaultFailure): Meaning {
  if (status === 401) return refused;
  if (status === 403) return denied;
  if (status === 429) return { kind: 'key', reason: 'the vault is overloaded', hint: 'Try again later.' };
  if (isServerFault(status)) {
    return { kind: 'key', reason: `the vault has failed (HTTP ${status})`, hint: 'Try again later.' };
  }
  if (code === '' || code === 'PARSE_ERROR') return foreign;
  return { kind: status === 400 ? 'config' : 'key', reason: `${message} (${code}, HTTP ${status})` };
}

function meaningOfNetwork({ code, message }: VaultFailure): Meaning {
  if (isCertificateFault(code)) {
    return {
      kind: 'key',
      reason: `the certificate of the vault is not trusted: ${message}`,
      hint: 'Name the file of its certificate authority in NODE_EXTRA_CA_CERTS, or correct the vault.',
    };
  }
  return {
    kind: 'key',
    reason: `cannot reach the vault: ${message === '' ? code : message}`,
    hint: 'Check the network, the proxy and the vault.',
  };
}
