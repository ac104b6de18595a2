import { BackupError, describeError } from '../core/backup-error.ts';
import type { Meaning } from '../core/meaning.ts';
import { isCertificateFault, isNetworkFault, parseRetryAfterMs } from '../core/network-faults.ts';
import { errorCode } from '../core/error-code.ts';
import type { TextAnswer } from './send-json.ts';

/** A service, and what the names that its refusals have in common mean there. */
export interface GcpService {
  /** `Cloud KMS` */
  readonly title: string;
  readonly endpoint: string;
  readonly endpointVariable: string;
  /** For permission denied. */
  readonly roleHint: string;
  readonly missing: Meaning;
  /** What a refusal means of itself; nothing for one that all services share. */
  readonly meaningOf: (failure: GcpFailure) => Meaning | undefined;
}

/** An answer that is no success: `{ error: { code, message, status } }` (Google Cloud APIs, "Errors"). */
export class GcpFailure extends Error {
  override readonly name = 'GcpFailure';
  readonly httpStatus: number;
  /** `NOT_FOUND`, `PERMISSION_DENIED`, …; empty when it is not Google that answers. */
  readonly status: string;
  readonly retryAfterMs: number | undefined;

  constructor({ status: httpStatus, headers, text }: TextAnswer) {
    const { message, status } = parseErrorBody(text);
    super(message);
    this.httpStatus = httpStatus;
    this.status = status;
    this.retryAfterMs = parseRetryAfterMs(headers['retry-after']);
  }
}

function parseErrorBody(text: string): { readonly message: string; readonly status: string } {
  try {
    const { error } = JSON.parse(text) as { error?: { message?: unknown; status?: unknown } };
    const { message, status } = error ?? {};
    return {
      message: typeof message === 'string' ? message : '',
      status: typeof status === 'string' ? status : '',
    };
  } catch {
    return { message: '', status: '' };
  }
}

/** No credentials could be found, or they could not be made into an access token. */
export class CredentialsFailure extends Error {
  override readonly name = 'CredentialsFailure';
  readonly isNoneFound: boolean;
  readonly isTransient: boolean;
  /** OAuth's error code (RFC 6749 section 5.2), if the token server gave one. */
  readonly oauthError: string | undefined;

  /** The library's error holds its request, which has the credentials in it, and a parser's message quotes their file. */
  constructor(cause: unknown) {
    const { code, status, response } = (cause ?? {}) as LibraryFields;
    const text = cause instanceof SyntaxError ? 'the file is not JSON' : describeError(cause);
    super(text);
    const httpStatus = Number(status ?? response?.status);
    const error = response?.data?.error;
    this.isNoneFound = text.includes('Could not load the default credentials');
    this.isTransient =
      isNetworkFault(String(code), text) || code === 'TimeoutError' || httpStatus >= 500 || httpStatus === 429;
    this.oauthError = typeof error === 'string' ? error : undefined;
  }
}

/** The fields of the library's errors that are read here; any may be missing. */
interface LibraryFields {
  readonly code?: unknown;
  readonly status?: unknown;
  readonly response?: { readonly status?: number; readonly data?: { readonly error?: unknown } };
}

/** A success, but nothing that the service would answer. */
export class ForeignAnswer extends Error {
  override readonly name = 'ForeignAnswer';
}

/** A checksum does not fit what came with it. */
export class DamagedAnswer extends Error {
  override readonly name = 'DamagedAnswer';
}

const transientStatuses = new Set(['RESOURCE_EXHAUSTED', 'UNAVAILABLE', 'DEADLINE_EXCEEDED', 'ABORTED', 'INTERNAL']);

/** Whether calling again can help. */
export function isTransientGcpError(error: unknown): boolean {
  if (error instanceof DamagedAnswer) return true;
  if (error instanceof CredentialsFailure) return error.isTransient;
  if (!(error instanceof GcpFailure)) return isNetworkFault(errorCode(error), describeError(error));
  const { httpStatus, status } = error;
  return transientStatuses.has(status) || httpStatus === 408 || httpStatus === 429 || isServerFault(httpStatus);
}

function isServerFault(httpStatus: number): boolean {
  return httpStatus >= 500 && httpStatus !== 501 && httpStatus !== 505;
}

export function gcpRetryAfterMs(error: unknown): number | undefined {
  return error instanceof GcpFailure ? error.retryAfterMs : undefined;
}

/** What an error means; `action` says what was tried: `read secret gcp-sm:p/x`. */
export function toGcpError(error: unknown, action: string, service: GcpService): BackupError {
  if (error instanceof BackupError) return error;
  const { kind, reason, hint } = meaningOf(error, service);
  return new BackupError(kind, `cannot ${action}: ${reason}`, { hint, cause: error });
}

/** Whether a translated failure stands for the service's answer of this status. */
export function isGcpFailure(error: unknown, status: string): boolean {
  return error instanceof BackupError && error.cause instanceof GcpFailure && error.cause.status === status;
}

function meaningOf(error: unknown, service: GcpService): Meaning {
  if (error instanceof DamagedAnswer) {
    return {
      kind: 'integrity',
      reason: `what ${service.title} sent or got does not fit its checksum, time and again`,
      hint: 'Look for a proxy that changes what passes, or for faulty memory.',
    };
  }
  if (error instanceof ForeignAnswer) return foreign(service);
  if (error instanceof CredentialsFailure) return meaningOfCredentials(error);
  if (error instanceof GcpFailure) return service.meaningOf(error) ?? meaningOfRefusal(error, service);
  return meaningOfNetwork(errorCode(error), describeError(error), service);
}

function foreign({ title, endpointVariable }: GcpService): Meaning {
  return { kind: 'config', reason: `what answers is not ${title}`, hint: `Correct ${endpointVariable}.` };
}

function meaningOfRefusal(failure: GcpFailure, service: GcpService): Meaning {
  const { status, httpStatus, message } = failure;
  if (status === 'NOT_FOUND') return service.missing;
  if (status === 'ALREADY_EXISTS') {
    return { kind: 'conflict', reason: 'it is there already', hint: 'Rotate it, or give another reference.' };
  }
  if (status === 'PERMISSION_DENIED') return meaningOfDenial(message, service);
  if (status === 'UNAUTHENTICATED' || httpStatus === 401) return refused;
  if (status === 'RESOURCE_EXHAUSTED' || httpStatus === 429)
    return {
      kind: 'key',
      reason: 'the quota of requests is used up',
      hint: 'Raise the quota of the project, or try again later.',
    };
  if (isServerFault(httpStatus))
    return { kind: 'key', reason: `${service.title} has failed (HTTP ${httpStatus})`, hint: 'Try again later.' };
  if (status === '') return foreign(service);
  const kind = status === 'INVALID_ARGUMENT' ? 'config' : 'key';
  return { kind, reason: `${message === '' ? 'the request was refused' : message} (${status}, HTTP ${httpStatus})` };
}

function meaningOfDenial(message: string, { title, roleHint }: GcpService): Meaning {
  if (/has not been used in project|API .*disabled/i.test(message)) {
    return {
      kind: 'key',
      reason: `the API of ${title} is not enabled`,
      hint: `Enable the API of ${title} in the project.`,
    };
  }
  return { kind: 'key', reason: 'permission denied, or there is no such thing', hint: roleHint };
}

const refused: Meaning = {
  kind: 'key',
  reason: 'Google does not accept the credentials',
  hint: 'Check GOOGLE_APPLICATION_CREDENTIALS, or log in again with gcloud auth application-default login.',
};

function meaningOfCredentials({ isNoneFound, isTransient, oauthError, message }: CredentialsFailure): Meaning {
  if (isNoneFound) {
    return {
      kind: 'key',
      reason: 'no Google credentials found',
      hint: 'Set GOOGLE_APPLICATION_CREDENTIALS, log in with gcloud auth application-default login, or give this machine a service account.',
    };
  }
  if (oauthError !== undefined) return { ...refused, reason: `${refused.reason} (${oauthError})` };
  if (isTransient)
    return { kind: 'key', reason: `no access token: ${message}`, hint: 'Check the network and the proxy.' };
  const isMissing = /does not exist, or it is not a file/.test(message);
  return {
    kind: 'key',
    reason: isMissing
      ? 'the file of GOOGLE_APPLICATION_CREDENTIALS does not exist'
      : 'the Google credentials cannot be used',
    hint: 'Set GOOGLE_APPLICATION_CREDENTIALS to the key file of a service account, or to the configuration of a workload identity.',
  };
}

function meaningOfNetwork(code: string, text: string, { endpointVariable }: GcpService): Meaning {
  if (isCertificateFault(code)) {
    return {
      kind: 'key',
      reason: `the certificate of the service is not trusted: ${text}`,
      hint: `Name the file of its certificate authority in NODE_EXTRA_CA_CERTS, or correct ${endpointVariable}.`,
    };
  }
  return {
    kind: 'key',
    reason: `cannot reach the service: ${text === '' ? code : text}`,
    hint: 'Check the network, the proxy and the endpoint.',
  };
}
