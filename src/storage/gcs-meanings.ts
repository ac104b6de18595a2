import { describeError } from '../core/backup-error.ts';
import type { Meaning } from '../core/meaning.ts';
import { isCertificateFault, isNetworkFault } from '../core/network-faults.ts';

/** What the JSON API says when it refuses. */
export interface Refusal {
  readonly status: number;
  readonly reason: string;
  readonly message: string;
}

const denied: Meaning = {
  kind: 'access',
  reason: 'permission denied',
  hint: 'Give the account the role Storage Object User on the bucket, or the permissions that docs/stores.md lists.',
};
const refused: Meaning = {
  kind: 'access',
  reason: 'the server does not accept the credentials',
  hint: 'Check GOOGLE_APPLICATION_CREDENTIALS, or log in again with gcloud auth application-default login.',
};
const noBilling: Meaning = {
  kind: 'access',
  reason: 'the project of the bucket is disabled, or its billing is',
  hint: 'Enable the project and its billing account.',
};
const noBucket: Meaning = {
  kind: 'notFound',
  reason: 'the bucket does not exist',
  hint: 'Create the bucket, or correct the address or endpoint.',
};
const noObject: Meaning = { kind: 'notFound', reason: 'there is no such object' };
const exists: Meaning = { kind: 'conflict', reason: 'it is there already' };
const held: Meaning = { kind: 'policy', reason: 'it is under a hold', hint: 'Release the hold first.' };
const busy: Meaning = { kind: 'storage', reason: 'the server is overloaded', hint: 'Try again later.' };
const quota: Meaning = {
  kind: 'storage',
  reason: 'a quota of the project is used up',
  hint: 'Raise the quota of the project, and run the backup again.',
};
const noRetention: Meaning = {
  kind: 'config',
  reason: 'the bucket does not take retention for single objects',
  hint: 'Use a bucket that was created with --enable-per-object-retention, or leave out the lock.',
};
const needsKey: Meaning = {
  kind: 'key',
  reason: 'it is encrypted with a customer-supplied key, and none was given',
  hint: 'Give the key that the object was stored with.',
};
const wrongKey: Meaning = {
  kind: 'key',
  reason: 'it is encrypted with another customer-supplied key',
  hint: 'Give the key that the object was stored with.',
};
const needsNoKey: Meaning = {
  kind: 'key',
  reason: 'it is not encrypted with a customer-supplied key',
  hint: 'Leave the key out to read it.',
};
const refusedKey: Meaning = {
  kind: 'key',
  reason: 'the server does not take the customer-supplied key',
  hint: 'Give 32 random bytes.',
};
const kmsDenied: Meaning = {
  kind: 'key',
  reason: 'Cloud Storage may not use the Cloud KMS key, or there is no such key',
  hint: "Give the project's Cloud Storage service agent the role Cloud KMS CryptoKey Encrypter/Decrypter on the key.",
};

/** By the reasons of "HTTP status and error codes for JSON" of Google's documentation. */
const meaningByReason: ReadonlyMap<string, Meaning> = new Map<string, Meaning>(
  Object.entries({
    accountDisabled: noBilling,
    conditionNotMet: exists,
    customerEncryptionAlgorithmIsInvalid: refusedKey,
    customerEncryptionKeyFormatIsInvalid: refusedKey,
    customerEncryptionKeyIsIncorrect: wrongKey,
    customerEncryptionKeySha256IsInvalid: refusedKey,
    objectUnderActiveHold: held,
    orgPolicyConstraintFailed: { kind: 'policy', reason: 'a policy of the organisation forbids it' },
    quotaExceeded: quota,
    rateLimitExceeded: busy,
    resourceIsEncryptedWithCustomerEncryptionKey: needsKey,
    resourceNotEncryptedWithCustomerEncryptionKey: needsNoKey,
    userRateLimitExceeded: busy,
  }),
);

const meaningByStatus: Readonly<Record<number, Meaning>> = {
  401: refused,
  403: denied,
  404: noObject,
  410: { kind: 'storage', reason: 'the server has forgotten the unfinished upload' },
  412: exists,
  429: busy,
  503: busy,
};

/** For answers that give no reason, or none of their own: downloads are refused in plain text. */
const meaningByText: readonly (readonly [number, RegExp, Meaning])[] = [
  [400, /^The target object is encrypted by a customer-supplied encryption key/i, needsKey],
  [400, /provided encryption key is incorrect/i, wrongKey],
  [400, /is not encrypted by a customer-supplied encryption key/i, needsNoKey],
  [400, /retention/i, noRetention],
  [403, /KMS key|cryptoKey/i, kmsDenied],
  [403, /billing/i, noBilling],
  [404, /bucket/i, noBucket],
];

/** What a refusal means; nothing for one that is not known. */
export function meaningOfRefusal(refusal: Refusal): Meaning | undefined {
  const { status, reason, message } = refusal;
  if (reason === 'retentionPolicyNotMet') return { ...held, reason: lockedUntil(message), hint: 'Wait until then.' };
  if (reason.startsWith('cloudKms')) return { ...kmsDenied, reason: `the Cloud KMS key cannot be used: ${message}` };
  const named = meaningByReason.get(reason);
  if (named !== undefined) return named;
  const byText = meaningByText.find(([only, pattern]) => only === status && pattern.test(message));
  return byText?.[2] ?? meaningByStatus[status];
}

/** "Object 'b/o' is subject to … and cannot be deleted, overwritten or archived until 2026-12-24T…". */
function lockedUntil(message: string): string {
  const until = /until (\S+?)\.?$/.exec(message)?.[1];
  return until === undefined ? 'its retention has not ended' : `it is locked until ${until}`;
}

export function textOfRefusal({ status, reason, message }: Refusal): string {
  const text = message === '' ? 'the server refuses' : message;
  return reason === '' ? `${text} (HTTP ${status})` : `${text} (${reason}, HTTP ${status})`;
}

/** What an error of Node's with this code means; nothing for one that is not about the connection. */
export function meaningOfNetwork(code: string, text: string): Meaning | undefined {
  if (isNetworkFault(code, text)) {
    return {
      kind: 'storage',
      reason: `cannot reach the server: ${text === '' ? code : text}`,
      hint: 'Check the endpoint, the network and the server.',
    };
  }
  if (!isCertificateFault(code)) return undefined;
  return {
    kind: 'storage',
    reason: `the server's certificate is not trusted: ${text}`,
    hint: 'Give the file of its certificate authority, or correct the endpoint.',
  };
}

const clock: Meaning = {
  kind: 'storage',
  reason: "this machine's clock and Google's are too far apart",
  hint: 'Set the clock, and keep it right with NTP.',
};
const noneFound: Meaning = {
  kind: 'access',
  reason: 'no credentials found',
  hint: 'Set GOOGLE_APPLICATION_CREDENTIALS, log in with gcloud auth application-default login, or give this machine a service account.',
};
const badFile: Meaning = {
  kind: 'access',
  reason: 'the file of the credentials cannot be used',
  hint: 'Set GOOGLE_APPLICATION_CREDENTIALS to the key file of a service account, or to the configuration of a workload identity.',
};

/** Why the SDK got no access token. What it says of a file is not repeated where it may quote the file. */
export function meaningOfCredentials(cause: unknown): Meaning {
  const text = describeError(cause);
  const { code, response } = (cause ?? {}) as TokenError;
  if (text.includes('Could not load the default credentials')) return noneFound;
  if (/does not exist, or it is not a file/.test(text)) {
    return { ...badFile, reason: 'the file of GOOGLE_APPLICATION_CREDENTIALS does not exist' };
  }
  if (response !== undefined) return meaningOfTokenAnswer(response);
  if (code === 'TimeoutError') return { kind: 'storage', reason: 'no access token in time' };
  const network = meaningOfNetwork(typeof code === 'string' ? code : '', text);
  return network === undefined ? badFile : { ...network, reason: `no access token: ${network.reason}` };
}

function meaningOfTokenAnswer({ status, data }: Required<TokenError>['response']): Meaning {
  const { error, error_description: description } = data ?? {};
  if (typeof error === 'string') return meaningOfTokenError(error, typeof description === 'string' ? description : '');
  return { kind: 'storage', reason: `no access token (HTTP ${status})` };
}

/** OAuth's error codes (RFC 6749 section 5.2) with Google's descriptions. */
function meaningOfTokenError(error: string, description: string): Meaning {
  if (error === 'invalid_grant' && /iat and exp|reasonable timeframe/i.test(description)) return clock;
  if (error === 'invalid_grant' && /expired|revoked|reauth/i.test(description)) {
    return { ...refused, reason: 'the credentials have expired or were revoked', hint: 'Get new credentials.' };
  }
  return { ...refused, reason: `Google does not accept the credentials (${error})` };
}

/** The fields of the SDK's errors that are read here; any may be missing. */
interface TokenError {
  readonly code?: unknown;
  readonly response?: {
    readonly status?: number;
    readonly data?: { readonly error?: unknown; readonly error_description?: unknown };
  };
}
