import { createHash } from 'node:crypto';

/** What an object of the double is, as its resource says. */
export interface DoubleObject {
  readonly content: Buffer;
  readonly keySha256: string | undefined;
  readonly resource: Record<string, unknown> & {
    name: string;
    generation: string;
    temporaryHold?: boolean;
    eventBasedHold?: boolean;
    retention?: { mode: string; retainUntilTime: string };
    retentionExpirationTime?: string;
  };
}

export interface DoubleBucket {
  readonly objects: Map<string, DoubleObject>;
  /** Takes retention for single objects. */
  hasObjectRetention: boolean;
  /** Its own retention policy. */
  retentionMs: number;
  defaultKmsKeyName: string | undefined;
  /** What the credentials may not do here. */
  readonly denied: Set<'create' | 'get' | 'list' | 'delete'>;
}

export function makeDoubleBucket(): DoubleBucket {
  return {
    objects: new Map(),
    hasObjectRetention: true,
    retentionMs: 0,
    defaultKmsKeyName: undefined,
    denied: new Set(),
  };
}

/** An answer other than success, with the reason and the text of Google's documentation. */
export class Refusal extends Error {
  readonly status: number;
  readonly reason: string;
  /** The value of `Retry-After`. */
  readonly retryAfter: string | undefined;

  constructor(status: number, reason: string, text: string | { message: string; retryAfter: string }) {
    super(typeof text === 'string' ? text : text.message);
    this.status = status;
    this.reason = reason;
    this.retryAfter = typeof text === 'string' ? undefined : text.retryAfter;
  }
}

export function md5Of(content: Buffer): string {
  return createHash('md5').update(content).digest('base64');
}

/** Refuses to delete or replace what a hold or a retention protects. */
export function assertUnlocked(bucketName: string, object: DoubleObject, now = Date.now()): void {
  const { name, temporaryHold, eventBasedHold, retention, retentionExpirationTime } = object.resource;
  const what = `Object '${bucketName}/${name}'`;
  const how = 'cannot be deleted, overwritten or archived until';
  if (temporaryHold === true || eventBasedHold === true) {
    const kind = temporaryHold === true ? 'Temporary' : 'Event-Based';
    throw new Refusal(403, 'objectUnderActiveHold', `${what} is under active ${kind} hold and ${how} hold is removed.`);
  }
  const ends = [retention?.retainUntilTime, retentionExpirationTime].filter((time) => Date.parse(time ?? '') > now);
  const until = ends.toSorted((a, b) => Date.parse(b ?? '') - Date.parse(a ?? ''))[0];
  if (until === undefined) return;
  const text = `${what} is subject to bucket's retention policy or object retention and ${how} ${until}`;
  throw new Refusal(403, 'retentionPolicyNotMet', text);
}

/** The SHA-256 of the customer-supplied key in the headers; nothing when there is none. */
export function customerKeyOf(headers: NodeJS.Dict<string | string[]>): string | undefined {
  const algorithm = headers['x-goog-encryption-algorithm'];
  const key = headers['x-goog-encryption-key'];
  const sha256 = headers['x-goog-encryption-key-sha256'];
  if (algorithm === undefined && key === undefined && sha256 === undefined) return undefined;
  if (algorithm !== 'AES256') {
    throw new Refusal(
      400,
      'customerEncryptionAlgorithmIsInvalid',
      'Missing an encryption algorithm, or it is not AES256.',
    );
  }
  const bytes = Buffer.from(String(key), 'base64');
  if (bytes.byteLength !== 32) {
    throw new Refusal(
      400,
      'customerEncryptionKeyFormatIsInvalid',
      'Missing an encryption key, or it is not Base64 encoded.',
    );
  }
  if (createHash('sha256').update(bytes).digest('base64') !== sha256) {
    throw new Refusal(
      400,
      'customerEncryptionKeySha256IsInvalid',
      'Missing a SHA256 hash of the encryption key, or it is wrong.',
    );
  }
  return sha256;
}

/** Refuses a read whose key is not the object's. */
export function assertReadable(object: DoubleObject, keySha256: string | undefined): void {
  if (object.keySha256 === keySha256) return;
  if (keySha256 === undefined) {
    const text = 'The target object is encrypted by a customer-supplied encryption key.';
    throw new Refusal(400, 'resourceIsEncryptedWithCustomerEncryptionKey', text);
  }
  if (object.keySha256 === undefined) {
    const text = 'The target object is not encrypted by a customer-supplied encryption key.';
    throw new Refusal(400, 'resourceNotEncryptedWithCustomerEncryptionKey', text);
  }
  throw new Refusal(400, 'customerEncryptionKeyIsIncorrect', 'The provided encryption key is incorrect.');
}
