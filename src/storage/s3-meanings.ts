import type { Meaning } from '../core/meaning.ts';

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
export const wrongRegion: Meaning = {
  kind: 'config',
  reason: 'the bucket is in another region',
  hint: 'Give the region of the bucket, by option or AWS_REGION.',
};
export const full: Meaning = {
  kind: 'storage',
  reason: 'the store is full',
  hint: 'Free space in the store, or raise its quota, and run the backup again.',
};
const busy: Meaning = { kind: 'storage', reason: 'the server is overloaded', hint: 'Try again later.' };
const contended: Meaning = {
  kind: 'storage',
  reason: 'another request for the same place is under way',
  hint: 'Try again later.',
};
const tooOld: Meaning = {
  kind: 'storage',
  reason: 'the server does not support what was asked of it',
  hint: 'Try the checksum mode when-required, which older S3-compatible servers need.',
};
export const badProxy: Meaning = {
  kind: 'storage',
  reason: 'the proxy does not let the connection through',
  hint: 'Correct HTTPS_PROXY, or name the server in NO_PROXY.',
};
const noKmsKey: Meaning = {
  kind: 'key',
  reason: 'the KMS does not know the key for server-side encryption',
  hint: 'Correct --sse-kms-key, and use a key of the region of the bucket.',
};
const disabledKmsKey: Meaning = {
  kind: 'key',
  reason: 'the KMS does not let its key for server-side encryption be used: it is disabled, deleted or of another kind',
  hint: 'Enable the key, or give another one.',
};
const deniedKmsKey: Meaning = {
  kind: 'access',
  reason: 'the KMS refuses to use the key for server-side encryption',
  hint: 'Allow the credentials kms:GenerateDataKey and kms:Decrypt with this key.',
};
export const noCustomerKey: Meaning = {
  kind: 'key',
  reason: "it is encrypted with a customer's key (SSE-C)",
  hint: 'Give the key with which it was stored: --sse-c-key.',
};
const wrongCustomer: Meaning = {
  kind: 'key',
  reason: "it is encrypted with another customer's key (SSE-C) than the one given",
  hint: 'Give the key with which it was stored: --sse-c-key.',
};
const noLock: Meaning = {
  kind: 'config',
  reason: 'the bucket has no Object Lock',
  hint: 'Use a bucket that was made with Object Lock, or leave out the lock.',
};
export const notS3: Meaning = {
  kind: 'config',
  reason: 'what answers is not an S3 server',
  hint: 'Correct the endpoint: its scheme (http or https), host and port.',
};

export const damaged: Meaning = {
  kind: 'storage',
  reason: "the server's answer arrived damaged",
  hint: 'Use https, which notices damage on the way, or have a look at the network.',
};

/** Codes that mean many things; only the message tells, in the words of Amazon, MinIO and Ceph. */
export const meaningsByText: readonly { readonly names: RegExp; readonly text: RegExp; readonly meaning: Meaning }[] = [
  { names: /^InternalError$/, text: /no space left on device/, meaning: full },
  { names: /^AccessDenied$/, text: /\bkms:/i, meaning: deniedKmsKey },
  { names: /^InvalidAccessKeyId$/, text: /kms-keyid/, meaning: noKmsKey },
  {
    names: /^InvalidArgument$/,
    text: /KMS.*key[ -]?id/i,
    meaning: { ...noKmsKey, reason: 'the server wants the id of a KMS key' },
  },
  { names: /^Invalid(Request|Argument)$/, text: /Object ?Lock/i, meaning: noLock },
  { names: /^Invalid(Request|Argument)$/, text: /MD5 hash of the key/, meaning: wrongCustomer },
  {
    names: /^Invalid(Request|Argument)$/,
    text: /stored using a form of Server Side Encryption|must provide a valid encryption algorithm/,
    meaning: noCustomerKey,
  },
  {
    names: /^Invalid(Request|Argument)$|^NotImplemented$/,
    text: /encryption method is not supported|HTTP header x-amz-server-side-encryption/,
    meaning: {
      kind: 'config',
      reason: 'the server does not know the encryption asked for',
      hint: 'Ask for an encryption that this server applies.',
    },
  },
  {
    // Ceph, which sends no message.
    names: /^InvalidArgument$/,
    text: /^(UnknownError)?$/,
    meaning: {
      kind: 'config',
      reason: 'the server does not take a setting of the object (InvalidArgument)',
      hint: 'Check the storage class, the tags and the encryption asked for.',
    },
  },
];

export const silent: Meaning = {
  kind: 'storage',
  reason: 'cannot reach the server: no answer in time',
  hint: 'Check the endpoint, the network and the server.',
};

export const meaningByName: ReadonlyMap<string, Meaning> = new Map<string, Meaning>(
  Object.entries({
    AccessDenied: denied,
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
    XMinioAdminBucketQuotaExceeded: full,
    OperationAborted: contended,
    ConditionalRequestConflict: contended,
    SlowDown: busy,
    SlowDownRead: busy,
    SlowDownWrite: busy,
    ServerBusy: busy,
    ThrottlingException: busy,
    'KMS.ThrottlingException': busy,
    InvalidTokenId: expired,
    InvalidRegion: wrongRegion,
    InvalidStorageClass: {
      kind: 'config',
      reason: 'the server does not know the storage class',
      hint: 'Give a storage class that this server has.',
    },
    InvalidTag: { kind: 'config', reason: 'the server does not take the tags', hint: 'Use plain letters and digits.' },
    WrongCustomerKey: wrongCustomer,
    ObjectLockConfigurationNotFoundError: noLock,
    InvalidBucketObjectLockConfiguration: noLock,
    ERR_PROXY_TUNNEL: badProxy,
    'KMS.NotFoundException': noKmsKey,
    'kms:KeyNotFound': noKmsKey,
    'KMS.DisabledException': disabledKmsKey,
    'KMS.KMSInvalidStateException': disabledKmsKey,
    'KMS.InvalidStateException': disabledKmsKey,
    'KMS.InvalidKeyUsageException': disabledKmsKey,
    'kms:NotAuthorized': deniedKmsKey,
    InvalidBucketName: { kind: 'config', reason: 'the server does not accept the name of the bucket' },
    TimeoutError: silent,
  }),
);

export const meaningByStatus: Readonly<Record<number, Meaning>> = {
  301: wrongRegion,
  307: wrongRegion,
  401: wrongKey,
  403: denied,
  404: noObject,
  411: tooOld,
  412: exists,
  429: busy,
  501: tooOld,
  503: busy,
  507: full,
};
