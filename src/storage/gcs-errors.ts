import { BackupError, describeError } from '../core/backup-error.ts';
import type { Meaning } from '../core/meaning.ts';
import type { HttpAnswer } from './gcs-http.ts';
import { meaningOfCredentials, meaningOfNetwork, meaningOfRefusal, textOfRefusal } from './gcs-meanings.ts';
import { isNetworkFault, parseRetryAfterMs } from '../core/network-faults.ts';
import { errorCode } from '../core/error-code.ts';

/** An answer of the JSON API that is no success. */
export class GcsFailure extends Error {
  override readonly name = 'GcsFailure';
  readonly status: number;
  /** `conditionNotMet`, `retentionPolicyNotMet`, …; empty for refused downloads, which come as plain text. */
  readonly reason: string;
  readonly retryAfterMs: number | undefined;

  constructor({ status, headers, text }: HttpAnswer) {
    const { message, reason } = parseErrorBody(text);
    super(message);
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = parseRetryAfterMs(headers['retry-after']);
  }
}

/** "Error Response Format" of the JSON API: `{ error: { message, errors: [{ reason }] } }`. */
function parseErrorBody(text: string): { message: string; reason: string } {
  try {
    const { error } = JSON.parse(text) as { error?: { message?: unknown; errors?: readonly { reason?: unknown }[] } };
    const reason = error?.errors?.[0]?.reason;
    const message = error?.message;
    return {
      message: typeof message === 'string' ? message : '',
      reason: typeof reason === 'string' ? reason : '',
    };
  } catch {
    return { message: text.trimStart().startsWith('<') ? '' : text.slice(0, 500), reason: '' };
  }
}

/** No credentials could be found, or they could not be made into an access token. */
export class CredentialsFailure extends Error {
  override readonly name = 'CredentialsFailure';

  constructor(cause: unknown) {
    // A parser's message quotes what it read, which was a private key's file.
    super('no access token', cause instanceof SyntaxError ? { cause: new SyntaxError('not JSON') } : { cause });
  }

  get isNoneFound(): boolean {
    return describeError(this.cause).includes('Could not load the default credentials');
  }
}

/** A success, but nothing that Cloud Storage would answer. */
export class ForeignAnswer extends Error {
  override readonly name = 'ForeignAnswer';
}

/** Faults that a repetition can cure although their status says that the request was wrong. */
const transientReasons = new Set([
  'rateLimitExceeded',
  'userRateLimitExceeded',
  'backendError',
  'uploadBrokenConnection',
]);
const permanentStatuses = new Set([501, 505, 507]);

/** Whether calling again can help. Takes what requests fail with, and our translations of it. */
export function isTransientGcsError(error: unknown): boolean {
  if (error instanceof BackupError) return error.cause !== undefined && isTransientGcsError(error.cause);
  if (error instanceof GcsFailure) return isTransientAnswer(error) || isDamagedOnTheWay(error);
  if (error instanceof CredentialsFailure) return isTransientToken(error.cause);
  return isNetworkFault(errorCode(error), describeError(error));
}

function isTransientAnswer({ status, reason }: GcsFailure): boolean {
  if (transientReasons.has(reason)) return true;
  return status === 408 || status === 429 || (status >= 500 && !permanentStatuses.has(status));
}

function isTransientToken(cause: unknown): boolean {
  const { status } = (cause ?? {}) as { readonly status?: unknown };
  if (isNetworkFault(errorCode(cause), describeError(cause)) || errorCode(cause) === 'TimeoutError') return true;
  return Number(status) >= 500 || status === 429;
}

/** The server has compared the checksum that went with the bytes. */
export function isDamagedOnTheWay(error: unknown): boolean {
  if (!(error instanceof GcsFailure) || error.status !== 400) return false;
  return /(hash|md5|crc32c).*(match|differ)/i.test(error.message);
}

export function gcsRetryAfterMs(error: unknown): number | undefined {
  return failureOf(error)?.retryAfterMs;
}

/** The HTTP status of the answer that failed, if there was an answer. */
export function gcsErrorStatus(error: unknown): number | undefined {
  return failureOf(error)?.status;
}

function failureOf(error: unknown): GcsFailure | undefined {
  const cause = error instanceof BackupError ? error.cause : error;
  return cause instanceof GcsFailure ? cause : undefined;
}

/** What an error means; `action` says what was tried: `store "x" in "gs://bucket"`. */
export function toGcsError(error: unknown, action: string): BackupError {
  if (error instanceof BackupError) return error;
  const { kind, reason, hint } = meaningOf(error);
  return new BackupError(kind, `cannot ${action}: ${reason}`, { hint, cause: error });
}

const foreign: Meaning = {
  kind: 'storage',
  reason: 'the answer does not come from Cloud Storage',
  hint: 'Correct the endpoint.',
};

function meaningOf(error: unknown): Meaning {
  if (error instanceof CredentialsFailure) return meaningOfCredentials(error.cause);
  if (error instanceof ForeignAnswer) return foreign;
  if (error instanceof GcsFailure) {
    if (isDamagedOnTheWay(error)) return { kind: 'integrity', reason: 'it arrived damaged at the server' };
    return meaningOfRefusal(error) ?? { kind: 'storage', reason: textOfRefusal(error) };
  }
  return meaningOfNetwork(errorCode(error), describeError(error)) ?? { kind: 'storage', reason: describeError(error) };
}
