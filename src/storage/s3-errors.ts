import { BackupError, describeError } from '../core/backup-error.ts';
import type { Meaning } from '../core/meaning.ts';
import { isCertificateFault, isForeignToTls, isNetworkFault, parseRetryAfterMs } from '../core/network-faults.ts';
import {
  damaged,
  full,
  meaningByName,
  meaningByStatus,
  meaningsByText,
  noCustomerKey,
  notS3,
  silent,
  wrongRegion,
} from './s3-meanings.ts';

/** What the SDK's errors carry, as far as it is there. HEAD answers have no body, hence often only a status. */
interface Failure {
  readonly name: string;
  readonly message: string;
  readonly code: string | undefined;
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly isClockCorrected: boolean;
}

/**
 * Faults that a repetition can cure although their status says that the request was wrong - or nothing, as with a single
 * one of several objects to delete.
 */
const transientNames = new Set([
  'TimeoutError',
  'RequestTimeout',
  'RequestTimeoutException',
  'BadDigest',
  'XAmzContentSHA256Mismatch',
  'IncompleteBody',
  'OperationAborted',
  'ConditionalRequestConflict',
  'InternalError',
  'ServiceUnavailable',
  'ServerBusy',
  'SlowDown',
  'SlowDownRead',
  'SlowDownWrite',
  'Throttling',
  'ThrottlingException',
  'KMS.ThrottlingException',
]);
const permanentStatuses = new Set([501, 505, 507]);

/** Whether calling again can help. Takes the SDK's errors and our translations of them. */
export function isTransientS3Error(error: unknown): boolean {
  if (error instanceof BackupError && error.cause === undefined) return false;
  const failure = inspect(error);
  const { name, message, code, status, isClockCorrected } = failure;
  const meaning = meaningOf(failure);
  if (meaning === full) return false;
  if (meaning === damaged || isClockCorrected || transientNames.has(name)) return true;
  if (code !== undefined && isNetworkFault(code, message)) return true;
  return status !== undefined && isTransientStatus(status);
}

function isTransientStatus(status: number): boolean {
  return status === 408 || status === 429 || (status >= 500 && !permanentStatuses.has(status));
}

/** The server's `Retry-After`, if the failure carries one. */
export function s3RetryAfterMs(error: unknown): number | undefined {
  return parseRetryAfterMs(inspect(error).headers['retry-after']);
}

/** Whether the server refused to read an object without its customer's key (SSE-C). */
export function isRefusedKey(error: unknown): boolean {
  return meaningOf(inspect(error)) === noCustomerKey;
}

/** The failure of a request with a customer's key that is not the object's. */
export function wrongCustomerKey(cause: unknown): Error {
  return Object.assign(new Error("not the object's key", { cause }), { name: 'WrongCustomerKey' });
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
  const { name, code, status, message } = failure;
  const said = meaningsByText.find(({ names, text }) => names.test(name) && text.test(message));
  const named = said?.meaning ?? meaningByName.get(name) ?? meaningByName.get(code ?? '');
  if (named !== undefined) return named;
  if (isForeignAnswer(failure)) return isFromS3(failure) ? damaged : notS3;
  const disconnected = code === undefined ? undefined : meaningOfCode(code, textOf(failure));
  if (disconnected !== undefined) return disconnected;
  const byStatus = status === undefined ? undefined : meaningByStatus[status];
  return byStatus ?? { kind: 'storage', reason: textOf(failure) };
}

/** Node's codes for connections that fail. */
function meaningOfCode(code: string, text: string): Meaning | undefined {
  if (isNetworkFault(code, text)) return { ...silent, reason: `cannot reach the server: ${text}` };
  if (!isCertificateFault(code)) return undefined;
  return {
    kind: 'storage',
    reason: `the server's certificate is not trusted: ${text}`,
    hint: 'Give the file of its certificate authority, by option or in AWS_CA_BUNDLE, or correct the endpoint.',
  };
}

/** TLS spoken to a server without it, the other way round, or an answer that is no XML. */
function isForeignAnswer({ message }: Failure): boolean {
  return isForeignToTls(message) || /Deserialization error|HTTP request to an HTTPS/.test(message);
}

/** Every server of the protocol numbers its answers, and nobody else does. */
function isFromS3({ headers }: Failure): boolean {
  return headers['x-amz-request-id'] !== undefined;
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
