import { BackupError, describeError, type ErrorKind } from '../core/backup-error.ts';

/** What the SDK's errors carry, as far as it is there. HEAD answers have no body, hence often only a status. */
interface Failure {
  readonly name: string;
  readonly message: string;
  readonly code: string | undefined;
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly isClockCorrected: boolean;
}

interface Meaning {
  readonly kind: ErrorKind;
  readonly reason: string;
  readonly hint?: string;
}

const denied: Meaning = {
  kind: 'access',
  reason: 'permission denied',
  hint: 'Check the credentials, and allow them to list the bucket and to get, put and delete its objects.',
};
const wrongKey: Meaning = {
  kind: 'access',
  reason: 'the server does not accept the credentials',
  hint: 'Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile in use.',
};
const expired: Meaning = {
  kind: 'access',
  reason: 'the session token has expired or is invalid',
  hint: 'Get new credentials.',
};
const noBucket: Meaning = {
  kind: 'notFound',
  reason: 'the bucket does not exist',
  hint: 'Create the bucket, or correct the address, region or endpoint.',
};
const noObject: Meaning = { kind: 'notFound', reason: 'there is no such object' };
const exists: Meaning = { kind: 'conflict', reason: 'it is there already' };
const clock: Meaning = {
  kind: 'storage',
  reason: "this machine's clock and the server's are too far apart",
  hint: 'Set the clock, and keep it right with NTP.',
};
const wrongRegion: Meaning = {
  kind: 'config',
  reason: 'the bucket is in another region',
  hint: 'Give the region of the bucket, by option or AWS_REGION.',
};
const full: Meaning = {
  kind: 'storage',
  reason: 'the store is full',
  hint: 'Free space in the store, or raise its quota, and run the backup again.',
};
const busy: Meaning = { kind: 'storage', reason: 'the server is overloaded', hint: 'Try again later.' };
const tooOld: Meaning = {
  kind: 'storage',
  reason: 'the server does not support what was asked of it',
  hint: 'Try the checksum mode when-required, which older S3-compatible servers need.',
};
const silent: Meaning = {
  kind: 'storage',
  reason: 'cannot reach the server: no answer in time',
  hint: 'Check the endpoint, the network and the server.',
};

const meaningByName: ReadonlyMap<string, Meaning> = new Map<string, Meaning>(
  Object.entries({
    NoSuchBucket: noBucket,
    NoSuchKey: noObject,
    NotFound: noObject,
    NoSuchVersion: { kind: 'integrity', reason: 'the version asked for is gone' },
    NoSuchUpload: { kind: 'storage', reason: 'the server has forgotten the unfinished upload' },
    InvalidAccessKeyId: wrongKey,
    SignatureDoesNotMatch: wrongKey,
    ExpiredToken: expired,
    ExpiredTokenException: expired,
    InvalidToken: expired,
    TokenRefreshRequired: expired,
    CredentialsProviderError: {
      kind: 'access',
      reason: 'no credentials found',
      hint: 'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, set AWS_PROFILE, or give this machine a role.',
    },
    InvalidObjectState: {
      kind: 'storage',
      reason: 'the object is in an archive class',
      hint: 'Restore it from the archive class first.',
    },
    RequestTimeTooSkewed: clock,
    RequestExpired: clock,
    PermanentRedirect: wrongRegion,
    AuthorizationHeaderMalformed: wrongRegion,
    IllegalLocationConstraintException: wrongRegion,
    QuotaExceeded: full,
    XMinioStorageFull: full,
    SlowDown: busy,
    InvalidBucketName: { kind: 'config', reason: 'the server does not accept the name of the bucket' },
    TimeoutError: silent,
  }),
);

const meaningByStatus: Readonly<Record<number, Meaning>> = {
  301: wrongRegion,
  307: wrongRegion,
  401: wrongKey,
  403: denied,
  404: noObject,
  409: exists,
  411: tooOld,
  412: exists,
  501: tooOld,
  503: busy,
  507: full,
};

const unreachable = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
]);

/** Faults that a repetition can cure although their status says that the request was wrong. */
const transientNames = new Set([
  'TimeoutError',
  'RequestTimeout',
  'RequestTimeoutException',
  'BadDigest',
  'XAmzContentSHA256Mismatch',
  'IncompleteBody',
  'OperationAborted',
  'ConditionalRequestConflict',
  'SlowDown',
  'Throttling',
  'ThrottlingException',
]);
const permanentStatuses = new Set([501, 505, 507]);

/** Whether calling again can help. Takes the SDK's errors and our translations of them. */
export function isTransientS3Error(error: unknown): boolean {
  if (error instanceof BackupError && error.cause === undefined) return false;
  const { name, code, status, isClockCorrected } = inspect(error);
  if (isClockCorrected || transientNames.has(name)) return true;
  if (code !== undefined && (unreachable.has(code) || code.startsWith('HPE_'))) return true;
  return (
    status !== undefined && (status === 408 || status === 429 || (status >= 500 && !permanentStatuses.has(status)))
  );
}

/** The server's `Retry-After` (seconds or an HTTP date, RFC 9110 section 10.2.3), if the failure carries one. */
export function s3RetryAfterMs(error: unknown): number | undefined {
  const value = inspect(error).headers['retry-after'];
  if (value === undefined) return undefined;
  const seconds = Number(value);
  const delayMs = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(delayMs) ? Math.max(0, delayMs) : undefined;
}

/** The S3 error code (`NoSuchUpload`, …) of the SDK's error or of our translation of it. */
export function s3ErrorName(error: unknown): string {
  return inspect(error).name;
}

/** The HTTP status of the answer that failed, if there was an answer. */
export function s3ErrorStatus(error: unknown): number | undefined {
  return inspect(error).status;
}

/** What an SDK error means; `action` says what was tried: `store "x" in "s3://bucket"`. */
export function toS3Error(error: unknown, action: string): BackupError {
  if (error instanceof BackupError) return error;
  const failure = inspect(error);
  const { kind, reason, hint } = meaningOf(failure);
  return new BackupError(kind, `cannot ${action}: ${reason}`, {
    hint: regionHint(failure, reason) ?? hint,
    cause: error,
  });
}

function meaningOf(failure: Failure): Meaning {
  const { name, code, status } = failure;
  const named = meaningByName.get(name);
  if (named !== undefined) return named;
  if (code !== undefined && unreachable.has(code))
    return { ...silent, reason: `cannot reach the server: ${textOf(failure)}` };
  if (code !== undefined && isCertificateCode(code)) {
    return {
      kind: 'storage',
      reason: `the server's certificate is not trusted: ${textOf(failure)}`,
      hint: 'Give the file of its certificate authority, or correct the endpoint.',
    };
  }
  const byStatus = status === undefined ? undefined : meaningByStatus[status];
  return byStatus ?? { kind: 'storage', reason: textOf(failure) };
}

function isCertificateCode(code: string): boolean {
  return /CERT|ERR_TLS|UNABLE_TO_|SELF_SIGNED/.test(code);
}

/** Some servers send no message; then the name, the code and the status have to do. */
function textOf({ name, message, code, status }: Failure): string {
  const text = message === '' || message === 'UnknownError' ? (code ?? name) : message;
  return status === undefined ? text : `${text} (${name}, HTTP ${status})`;
}

function regionHint(failure: Failure, reason: string): string | undefined {
  const region = failure.headers['x-amz-bucket-region'];
  if (reason !== wrongRegion.reason || region === undefined) return undefined;
  return `Give the region of the bucket, "${region}", by option or AWS_REGION.`;
}

function inspect(error: unknown): Failure {
  if (error instanceof BackupError && error.cause !== undefined) return inspect(error.cause);
  const { name = 'Error', code, $metadata = {}, $response = {} } = (error ?? {}) as SdkFields;
  return {
    name,
    message: describeError(error),
    code: typeof code === 'string' ? code : undefined,
    status: $metadata.httpStatusCode ?? $response.statusCode,
    headers: $response.headers ?? {},
    isClockCorrected: $metadata.clockSkewCorrected ?? false,
  };
}

/** The fields of the SDK's and of Node's errors that are read here; any may be missing. */
interface SdkFields {
  readonly name?: string;
  readonly code?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: number; readonly clockSkewCorrected?: boolean };
  readonly $response?: { readonly statusCode?: number; readonly headers?: Readonly<Record<string, string>> };
}
