import { BackupError, describeError } from '../core/backup-error.ts';
import type { Meaning } from '../core/meaning.ts';
import { isCertificateFault, isForeignToTls, isNetworkFault } from '../core/network-faults.ts';
import { denied, failed, meaningByName, meaningsByText, notAws, silent, turnedAway } from './aws-meanings.ts';

/** What the SDK's and Node's errors carry, as far as it is there. */
interface Failure {
  readonly name: string;
  readonly message: string;
  readonly code: string | undefined;
  readonly status: number | undefined;
}

/** What an SDK error means; `action` says what was tried: `read secret aws-sm:x`. */
export function toAwsError(error: unknown, action: string): BackupError {
  if (error instanceof BackupError) return error;
  const failure = inspect(error);
  const meaning = meaningOf(failure);
  return new BackupError(meaning.kind, `cannot ${action}: ${meaning.reason}`, {
    hint: permissionHint(failure, meaning) ?? meaning.hint,
    // The parser's error holds the answer, which may be the secret.
    cause: failure.name === 'SyntaxError' ? undefined : error,
  });
}

/** Whether a translated failure stands for the service's error of this name. */
export function isAwsFailure(error: unknown, name: string): boolean {
  return error instanceof BackupError && error.cause instanceof Error && error.cause.name === name;
}

/** The failure of a service whose answer lacks what was asked for. */
export function unexpectedAnswer(action: string): BackupError {
  return new BackupError(notAws.kind, `cannot ${action}: ${notAws.reason}`, { hint: notAws.hint });
}

function meaningOf(failure: Failure): Meaning {
  const { name, message } = failure;
  if (name === 'SyntaxError') return meaningOfForeignAnswer(failure);
  const said = meaningsByText.find(({ names, text }) => names.test(name) && text.test(message));
  const named = said?.meaning ?? meaningByName.get(name);
  return named ?? meaningOfCode(failure) ?? { kind: 'key', reason: textOf(failure) };
}

/** An answer that is no JSON. */
function meaningOfForeignAnswer({ status = 200 }: Failure): Meaning {
  if (status >= 500) return failed;
  return status === 401 || status === 403 ? turnedAway : notAws;
}

/** Node's codes for connections that fail. */
function meaningOfCode(failure: Failure): Meaning | undefined {
  const { code, message } = failure;
  if (code === undefined) return undefined;
  if (isForeignToTls(message)) return notAws;
  if (isNetworkFault(code, message)) return { ...silent, reason: `cannot reach the service: ${textOf(failure)}` };
  if (!isCertificateFault(code)) return undefined;
  return {
    kind: 'key',
    reason: `the certificate of the service is not trusted: ${textOf(failure)}`,
    hint: 'Give the file of its certificate authority in AWS_CA_BUNDLE, or correct the endpoint.',
  };
}

/** A refusal says which action it is that the credentials lack. */
function permissionHint({ message }: Failure, meaning: Meaning): string | undefined {
  if (meaning !== denied) return undefined;
  const action = /not authorized to perform: (?<action>[a-z0-9-]+:\w+)/.exec(message)?.groups?.['action'];
  return action === undefined ? undefined : `Allow the credentials ${action}.`;
}

/** Some answers have no message; then the name, the code and the status have to do. */
function textOf({ name, message, code, status }: Failure): string {
  const text = message === '' || message === 'UnknownError' ? (code ?? name) : message;
  return status === undefined ? text : `${text} (${name}, HTTP ${status})`;
}

function inspect(error: unknown): Failure {
  const { name = 'Error', code, $metadata = {} } = (error ?? {}) as SdkFields;
  return {
    name,
    message: describeError(error),
    code: typeof code === 'string' ? code : undefined,
    status: $metadata.httpStatusCode,
  };
}

interface SdkFields {
  readonly name?: string;
  readonly code?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: number };
}
