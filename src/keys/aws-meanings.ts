import type { Meaning } from '../core/meaning.ts';

export const denied: Meaning = {
  kind: 'key',
  reason: 'permission denied',
  hint: 'Allow the credentials what docs/keys.md lists for this service.',
};
const refused: Meaning = {
  kind: 'key',
  reason: 'AWS does not accept the credentials',
  hint: 'Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile in use.',
};
const expired: Meaning = { kind: 'key', reason: 'the credentials have expired', hint: 'Get new credentials.' };
const clock: Meaning = {
  kind: 'key',
  reason: "this machine's clock and that of AWS are too far apart",
  hint: 'Set the clock, and keep it right with NTP.',
};
const busy: Meaning = {
  kind: 'key',
  reason: 'AWS is overloaded, or the quota of requests is used up',
  hint: 'Try again later.',
};
export const failed: Meaning = { kind: 'key', reason: 'the service has failed', hint: 'Try again later.' };
const pendingDeletion: Meaning = {
  kind: 'key',
  reason: 'the key is scheduled for deletion',
  hint: 'Cancel the deletion of the key and enable it, while its waiting period lasts.',
};
const noMaterial: Meaning = {
  kind: 'key',
  reason: 'the key has no key material',
  hint: 'Import the key material again.',
};
const malformed: Meaning = {
  kind: 'config',
  reason: 'AWS does not take the name or the version for one',
  hint: 'Correct the secret reference.',
};
const noSecret: Meaning = {
  kind: 'key',
  reason: 'there is no such secret',
  hint: 'Correct the name, the region or the account.',
};
const noValue: Meaning = {
  kind: 'key',
  reason: 'the secret has no such version',
  hint: 'Ask for a version that the secret has, by its id or its staging label.',
};
const noKey: Meaning = {
  kind: 'key',
  reason: 'there is no such key',
  hint: 'Correct the key, the region or the account.',
};
export const silent: Meaning = {
  kind: 'key',
  reason: 'cannot reach the service: no answer in time',
  hint: 'Check the network, the proxy, the region and the endpoint.',
};
const taken: Meaning = {
  kind: 'conflict',
  reason: 'it is there already',
  hint: 'Rotate it, or give another reference.',
};
/** By an answer that is no JSON: a proxy's, a gateway's or an emulator's. */
export const turnedAway: Meaning = {
  kind: 'key',
  reason: 'the request was refused, without an answer of AWS',
  hint: 'Check the credentials and their permissions, the proxy and the endpoint.',
};
export const notAws: Meaning = {
  kind: 'config',
  reason: 'what answers is not this AWS service',
  hint: 'Correct AWS_ENDPOINT_URL, which is for all services: AWS_ENDPOINT_URL_S3 is for the store alone.',
};

/** Names that mean many things; only the message tells. */
export const meaningsByText: readonly { readonly names: RegExp; readonly text: RegExp; readonly meaning: Meaning }[] = [
  { names: /^ResourceNotFoundException$/, text: /secret value/, meaning: noValue },
  {
    names: /^InvalidRequestException$/,
    text: /(marked|scheduled) for deletion|marked deleted/,
    meaning: {
      kind: 'key',
      reason: 'the secret is scheduled for deletion',
      hint: 'Restore the secret while its recovery window lasts.',
    },
  },
  { names: /^KMSInvalidStateException$/, text: /pending (replica )?deletion/i, meaning: pendingDeletion },
  { names: /^KMSInvalidStateException$/, text: /pending import/i, meaning: noMaterial },
  { names: /^InvalidSignatureException$/, text: /Signature (expired|not yet current)/, meaning: clock },
  { names: /ProviderError$/, text: /expired/, meaning: expired },
  {
    names: /^Error$/,
    text: /^Region is missing/,
    meaning: {
      kind: 'config',
      reason: 'the AWS region is not known',
      hint: 'Give the ARN, which has the region in it, or set AWS_REGION or the region of the profile.',
    },
  },
];

export const meaningByName: ReadonlyMap<string, Meaning> = new Map<string, Meaning>(
  Object.entries({
    ResourceNotFoundException: noSecret,
    DecryptionFailure: {
      kind: 'key',
      reason: 'Secrets Manager cannot decrypt the secret with its KMS key',
      hint: 'Enable the KMS key of the secret, and allow the credentials kms:Decrypt with it.',
    },
    InternalServiceError: failed,
    ResourceExistsException: taken,
    InvalidParameterException: malformed,
    ValidationException: malformed,
    ValidationError: malformed,
    InvalidArnException: malformed,
    NotFoundException: noKey,
    DisabledException: { kind: 'key', reason: 'the key is disabled', hint: 'Enable the key in KMS.' },
    KMSInvalidStateException: {
      kind: 'key',
      reason: 'the key cannot be used in its present state',
      hint: 'Look at the state of the key in KMS.',
    },
    InvalidKeyUsageException: {
      kind: 'key',
      reason: 'the key is not for symmetric encryption',
      hint: 'Use a KMS key of usage ENCRYPT_DECRYPT and specification SYMMETRIC_DEFAULT.',
    },
    KeyUnavailableException: { kind: 'key', reason: 'the key is not available now', hint: 'Try again later.' },
    InvalidCiphertextException: {
      kind: 'integrity',
      reason: 'the wrapped data key was changed, or belongs to another backup',
    },
    IncorrectKeyException: { kind: 'integrity', reason: 'another key made the wrapped data key than it says' },
    AlreadyExistsException: taken,
    ConflictException: {
      kind: 'conflict',
      reason: 'the key is being rotated already',
      hint: 'Wait until that rotation has ended.',
    },
    UnsupportedOperationException: {
      kind: 'usage',
      reason: 'KMS does not do that with a key of this kind',
      hint: 'Make a new key, and let an alias stand for it.',
    },
    KMSInternalException: failed,
    DependencyTimeoutException: failed,
    InternalFailure: failed,
    ServiceUnavailable: failed,
    ServiceUnavailableException: failed,
    AccessDeniedException: denied,
    AccessDenied: denied,
    NotAuthorized: denied,
    OptInRequired: denied,
    UnrecognizedClientException: refused,
    InvalidClientTokenId: refused,
    InvalidSignatureException: refused,
    SignatureDoesNotMatch: refused,
    IncompleteSignature: refused,
    MissingAuthenticationToken: refused,
    MissingAuthenticationTokenException: refused,
    ExpiredTokenException: expired,
    ExpiredToken: expired,
    RequestExpired: clock,
    RequestTimeTooSkewed: clock,
    RequestInTheFuture: clock,
    CredentialsProviderError: {
      kind: 'key',
      reason: 'no AWS credentials found',
      hint: 'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, set AWS_PROFILE, or give this machine a role.',
    },
    Throttling: busy,
    ThrottlingException: busy,
    ThrottledException: busy,
    RequestLimitExceeded: busy,
    TooManyRequestsException: busy,
    LimitExceededException: busy,
    TimeoutError: silent,
    UnknownOperationException: notAws,
  }),
);
