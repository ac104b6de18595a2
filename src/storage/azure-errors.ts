import { BackupError, describeError } from '../core/backup-error.ts';
import type { Meaning } from '../core/meaning.ts';
import { isCertificateFault, isNetworkFault, parseRetryAfterMs } from '../core/network-faults.ts';

/** What the SDK's errors carry, as far as it is there. Answers to HEAD have no body, but name the error in a header. */
interface Failure {
  readonly name: string;
  readonly message: string;
  /** Azure's error code (`BlobNotFound`), or Node's (`ECONNRESET`). */
  readonly code: string;
  readonly status: number | undefined;
  readonly header: (name: string) => string | undefined;
  /** Why the request was not authenticated, where the server says. */
  readonly detail: string;
  /** End of the shared access signature that the request carried. */
  readonly sasExpiry: string | undefined;
}

const denied: Meaning = {
  kind: 'access',
  reason: 'permission denied',
  hint: 'Give the credentials the rights that docs/stores.md lists: read, create, write, delete and list, and more for tags and locks.',
};
const refused: Meaning = {
  kind: 'access',
  reason: 'the server does not accept the credentials',
  hint: 'Check the account and the connection string, account key, shared access signature or identity in use.',
};
const expired: Meaning = {
  kind: 'access',
  reason: 'the shared access signature has expired or is not valid yet',
  hint: 'Make a new shared access signature, and check the clock of this machine.',
};
const clock: Meaning = {
  kind: 'storage',
  reason: "this machine's clock and the server's are too far apart",
  hint: 'Set the clock, and keep it right with NTP.',
};
const noIdentity: Meaning = {
  kind: 'access',
  reason: 'no credentials found, or they were refused',
  hint: 'Set AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, or give this machine an identity.',
};
const silentIdentity: Meaning = {
  kind: 'access',
  reason: 'no access token in time from the identity service',
  hint: 'Check the identity of this machine, and that its identity service can be reached.',
};
const noContainer: Meaning = {
  kind: 'notFound',
  reason: 'the container does not exist',
  hint: 'Create the container, or correct the address or endpoint.',
};
const noService: Meaning = {
  kind: 'notFound',
  reason: 'the server does not know the account or the container',
  hint: 'Correct the address or endpoint.',
};
const exists: Meaning = { kind: 'conflict', reason: 'it is there already' };
const locked: Meaning = {
  kind: 'policy',
  reason: 'it is locked',
  hint: 'Wait until the lock ends, or lift it if it can be lifted.',
};
const wrongKey: Meaning = {
  kind: 'key',
  reason: 'it is encrypted with another customer-provided key',
  hint: 'Give the key that the object was stored with.',
};
const full: Meaning = {
  kind: 'storage',
  reason: 'the store is full',
  hint: 'Free space in the account, or raise its limit, and run the backup again.',
};
const busy: Meaning = { kind: 'storage', reason: 'the server is overloaded', hint: 'Try again later.' };
const noScope: Meaning = {
  kind: 'config',
  reason: 'the account does not have this encryption scope, or it is disabled',
  hint: 'Correct the encryption scope, or create it in the account.',
};
const wrongTier: Meaning = {
  kind: 'config',
  reason: 'the account does not have this access tier',
  hint: 'Choose another access tier.',
};
const strange: Meaning = {
  kind: 'storage',
  reason: 'the answer was cut off, or is not that of a blob service',
  hint: 'Check the endpoint and the network.',
};
const leased: Meaning = { kind: 'storage', reason: 'somebody holds a lease on it', hint: 'Release the lease.' };
const foreignType: Meaning = {
  kind: 'conflict',
  reason: 'a blob of another type is there',
  hint: 'Remove the foreign blob, or choose another prefix.',
};

/** By Azure's codes: "Blob service error codes" and "Common REST API error codes" of its documentation. */
const meaningByCode: ReadonlyMap<string, Meaning> = new Map<string, Meaning>(
  Object.entries({
    BlobNotFound: { kind: 'notFound', reason: 'there is no such object' },
    ContainerNotFound: noContainer,
    ContainerBeingDeleted: { ...noContainer, reason: 'the container is being deleted' },
    ContainerDisabled: { ...denied, reason: 'the container is disabled' },
    ResourceNotFound: noService,
    BlobAlreadyExists: exists,
    UnauthorizedBlobOverwrite: exists,
    ConditionNotMet: exists,
    BlobImmutableDueToPolicy: locked,
    BlobImmutableDueToLegalHold: { ...locked, reason: 'it is under legal hold' },
    BlobUsesCustomerSpecifiedEncryption: {
      ...wrongKey,
      reason: 'it is encrypted with a customer-provided key, and none was given',
    },
    BlobCustomerSpecifiedEncryptionMismatch: wrongKey,
    BlobDoesNotUseCustomerSpecifiedEncryption: {
      kind: 'key',
      reason: 'it is not encrypted with a customer-provided key',
      hint: 'Leave the key out to read it.',
    },
    RequestForbiddenByContainerEncryptionPolicy: {
      kind: 'config',
      reason: 'the container allows its own encryption scope only',
      hint: "Ask for the container's encryption scope, or for none.",
    },
    BlobArchived: {
      kind: 'storage',
      reason: 'the object is in the archive tier',
      hint: 'Rehydrate it to an online tier first.',
    },
    BlobBeingRehydrated: { kind: 'storage', reason: 'the object is still being rehydrated', hint: 'Try again later.' },
    BlobAccessTierNotSupportedForAccountType: wrongTier,
    InvalidBlobTier: wrongTier,
    InvalidBlobType: foreignType,
    InvalidBlockList: {
      kind: 'storage',
      reason: 'the server no longer has its blocks',
      hint: 'See to it that nothing else writes to the same object.',
    },
    SnapshotsPresent: { kind: 'storage', reason: 'it has snapshots', hint: 'Delete its snapshots first.' },
    LeaseIdMissing: leased,
    AccountIsDisabled: { ...denied, reason: 'the account is disabled', hint: 'Enable the storage account.' },
    KeyBasedAuthenticationNotPermitted: {
      kind: 'access',
      reason: 'the account does not allow account keys',
      hint: 'Use an identity: unset AZURE_STORAGE_KEY and AZURE_STORAGE_CONNECTION_STRING.',
    },
    AuthorizationProtocolMismatch: {
      kind: 'access',
      reason: 'the shared access signature is for HTTPS only',
      hint: 'Give an endpoint that begins with https://.',
    },
    AuthorizationFailure: {
      ...denied,
      hint: "Check the rights of the credentials, and that the account's firewall lets this machine in.",
    },
    AuthorizationSourceIPMismatch: { ...denied, reason: 'access is not allowed from this address' },
    NoAuthenticationInformation: refused,
    InvalidAuthenticationInfo: refused,
    InvalidResourceName: { kind: 'config', reason: 'the server does not accept the name' },
    ServerBusy: busy,
    PARSE_ERROR: strange,
  }),
);

const meaningByStatus: Readonly<Record<number, Meaning>> = {
  200: strange,
  401: refused,
  403: denied,
  404: noService,
  412: exists,
  429: busy,
  503: busy,
  507: full,
};

/** By the names of errors that come without an answer of the service. */
const meaningByName: ReadonlyMap<string, Meaning> = new Map<string, Meaning>(
  Object.entries({
    AggregateAuthenticationError: noIdentity,
    AuthenticationError: noIdentity,
    AuthenticationRequiredError: noIdentity,
    CredentialUnavailableError: noIdentity,
    IdentityTimeoutError: silentIdentity,
    // How the SDK meets answers that lack what every answer of the service has.
    RangeError: strange,
    TypeError: strange,
  }),
);

/** Faults that a repetition can cure although their status says that the request was wrong. */
const transientCodes = new Set(['Md5Mismatch', 'OperationTimedOut', 'ServerBusy', 'REQUEST_SEND_ERROR', 'PARSE_ERROR']);
const permanentStatuses = new Set([501, 505, 507]);

/** Whether calling again can help. Takes the SDK's errors and our translations of them. */
export function isTransientAzureError(error: unknown): boolean {
  if (error instanceof BackupError && error.cause === undefined) return false;
  const { code, message, status } = inspect(error);
  if (transientCodes.has(code) || isNetworkFault(code, message)) return true;
  return (
    status !== undefined && (status === 408 || status === 429 || (status >= 500 && !permanentStatuses.has(status)))
  );
}

/** How long the server asked to be left alone, if the failure says so. */
export function azureRetryAfterMs(error: unknown): number | undefined {
  return parseRetryAfterMs(inspect(error).header('retry-after'));
}

/** Azure's error code of the SDK's error or of our translation of it; empty when there is none. */
export function azureErrorCode(error: unknown): string {
  return inspect(error).code;
}

/** The HTTP status of the answer that failed, if there was an answer. */
export function azureErrorStatus(error: unknown): number | undefined {
  return inspect(error).status;
}

/** What an SDK error means; `action` says what was tried: `store "x" in "az://account/container"`. */
export function toAzureError(error: unknown, action: string): BackupError {
  if (error instanceof BackupError) return error;
  const { kind, reason, hint } = meaningOf(inspect(error));
  return new BackupError(kind, `cannot ${action}: ${reason}`, { hint, cause: error });
}

function meaningOf(failure: Failure): Meaning {
  const { name, code, status } = failure;
  const named = meaningByName.get(name);
  if (named !== undefined) return named;
  if (status === 403 && isSasExpired(failure)) return expired;
  if (code === 'AuthenticationFailed') return whyNotAuthenticated(failure);
  const byStatus = status === undefined ? undefined : meaningByStatus[status];
  return (
    meaningByCode.get(code) ??
    (/EncryptionScope/.test(code) ? noScope : byStatus) ??
    connectionMeaning(failure) ?? { kind: 'storage', reason: textOf(failure) }
  );
}

function connectionMeaning({ code, message }: Failure): Meaning | null {
  if (isNetworkFault(code, message) || code === 'REQUEST_SEND_ERROR') {
    return {
      kind: 'storage',
      reason: `cannot reach the server: ${message}`,
      hint: 'Check the account, the endpoint, the network and the server.',
    };
  }
  if (!isCertificateFault(code)) return null;
  return {
    kind: 'storage',
    reason: `the server's certificate is not trusted: ${message}`,
    hint: 'Give the file of its certificate authority, or correct the endpoint.',
  };
}

function isSasExpired({ sasExpiry }: Failure): boolean {
  return sasExpiry !== undefined && Date.parse(sasExpiry) < Date.now();
}

/** One code stands for a wrong key, a wrong clock and a signature out of its time; the details tell them apart. */
function whyNotAuthenticated({ detail, header }: Failure): Meaning {
  const serverTime = Date.parse(header('date') ?? '');
  // The service tolerates 15 minutes.
  const isClockWrong = Math.abs(serverTime - Date.now()) > 10 * 60_000 || /request date header/i.test(detail);
  if (isClockWrong) return clock;
  return /specified time frame/i.test(detail) ? expired : refused;
}

/** The server's message without the lines that only its operators can use. */
function textOf({ name, message, code, status }: Failure): string {
  const text = message.split('\n', 1)[0] || code || name;
  return status === undefined ? text : `${text} (${code || name}, HTTP ${status})`;
}

function inspect(error: unknown): Failure {
  if (error instanceof BackupError && error.cause !== undefined) return inspect(error.cause);
  const { name = 'Error', code, statusCode, request, response = {} } = (error ?? {}) as SdkFields;
  const header = (wanted: string): string | undefined => response.headers?.get(wanted);
  const named = header('x-ms-error-code') ?? code;
  return {
    name,
    message: describeError(error),
    code: typeof named === 'string' ? named : '',
    status: statusCode ?? response.status,
    header,
    detail: /<AuthenticationErrorDetail>([^<]*)/.exec(String(response.bodyAsText))?.[1] ?? '',
    sasExpiry: sasExpiryOf(request?.url),
  };
}

function sasExpiryOf(url = ''): string | undefined {
  return URL.parse(url)?.searchParams.get('se') ?? undefined;
}

/** The fields of the SDK's and of Node's errors that are read here; any may be missing. */
interface SdkFields {
  readonly name?: string;
  readonly code?: unknown;
  readonly statusCode?: number;
  readonly request?: { readonly url?: string };
  readonly response?: {
    readonly status?: number;
    readonly bodyAsText?: string | null;
    readonly headers?: { get(name: string): string | undefined };
  };
}
