import { randomUUID } from 'node:crypto';
import {
  assertUnlocked,
  customerKeyOf,
  md5Of,
  Refusal,
  type DoubleBucket,
  type DoubleObject,
} from './gcs-double-objects.ts';

const unitBytes = 256 * 1024;

/** How the double departs from the protocol when it is told to. */
export interface Misbehaviour {
  ignoreKmsKey?: boolean;
  ignoreCustomerKey?: boolean;
  ignoreRetention?: boolean;
  ignoreHold?: boolean;
  ignoreStorageClass?: boolean;
  ignoreMetadata?: boolean;
  /** Keeps something else than it was sent. */
  damageContent?: boolean;
  /** Closes the connection of every request that brings as many bytes, and keeps the whole units among them. */
  cutAfterBytes?: number;
  /** Keeps this many units of each chunk only, and says so. */
  keepUnits?: number;
}

export interface UploadRequest {
  readonly query: URLSearchParams;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly bucketName: string;
  readonly bucket: DoubleBucket;
}

/** What an upload is to become. */
interface Draft extends UploadRequest {
  readonly metadata: Record<string, unknown>;
  readonly keySha256: string | undefined;
}

interface Session {
  readonly draft: Draft;
  content: Buffer;
  made: DoubleObject | undefined;
}

export type SessionAnswer =
  | { readonly status: 308; readonly persisted: number }
  | { readonly status: 200; readonly object: DoubleObject };

/** How objects come to be: `Objects: insert` of the JSON API with all its conditions. */
export class DoubleUploads {
  readonly misbehaviour: Misbehaviour = {};
  readonly sessions = new Map<string, Session>();
  /** Cloud KMS keys that Cloud Storage may use. */
  readonly kmsKeys = new Set<string>();
  #generation = 1_700_000_000_000_000;

  insert(request: UploadRequest, metadata: Record<string, unknown>, content: Buffer): DoubleObject {
    return this.#make(this.#draft(request, metadata), content);
  }

  begin(request: UploadRequest, metadata: Record<string, unknown>): string {
    const draft = this.#draft(request, metadata);
    assertConditions(draft);
    const id = randomUUID();
    this.sessions.set(id, { draft, content: Buffer.alloc(0), made: undefined });
    return id;
  }

  session(id: string, headers: NodeJS.Dict<string | string[]>): Session {
    const session = this.sessions.get(id);
    if (session === undefined) throw new Refusal(404, 'notFound', 'Not Found');
    if (customerKeyOf(headers) !== session.draft.keySha256) {
      throw new Refusal(400, 'customerEncryptionKeyIsIncorrect', 'The provided encryption key is incorrect.');
    }
    return session;
  }

  /** Keeps what came of a request that was cut off, in whole units. */
  keepPartly(id: string, received: Buffer): void {
    const session = this.sessions.get(id);
    if (session === undefined || session.made !== undefined) return;
    session.content = Buffer.concat([
      session.content,
      received.subarray(0, received.byteLength - (received.byteLength % unitBytes)),
    ]);
  }

  /** A chunk, or a question: `bytes 0-524287/*`, `bytes 0-99/100`, `bytes * /100` or `bytes * /*` (without the blanks). */
  receive(session: Session, range: string, options: { body: Buffer; hash: string | undefined }): SessionAnswer {
    if (session.made !== undefined) return { status: 200, object: session.made };
    const [, start, end, total] = /^bytes (?:(\d+)-(\d+)|\*)\/(\d+|\*)$/.exec(range) ?? [];
    if (total === undefined) throw invalid(`Content-Range "${range}" is malformed`);
    const size = total === '*' ? undefined : Number(total);
    if (start !== undefined)
      this.#append(session, { start: Number(start), end: Number(end) + 1, size, body: options.body });
    else if (options.body.byteLength > 0) throw invalid('A question has no body');
    if (size === undefined || session.content.byteLength < size) {
      return { status: 308, persisted: session.content.byteLength };
    }
    const md5 = /md5=([^,]+)/.exec(options.hash ?? '')?.[1];
    const { draft, content } = session;
    session.made = this.#make(
      { ...draft, metadata: { ...draft.metadata, ...(md5 !== undefined && { md5Hash: md5 }) } },
      content,
    );
    session.content = Buffer.alloc(0);
    return { status: 200, object: session.made };
  }

  #append(session: Session, chunk: { start: number; end: number; size: number | undefined; body: Buffer }): void {
    const { start, end, size, body } = chunk;
    if (body.byteLength !== end - start) throw invalid('Content-Length and Content-Range differ');
    if (start !== session.content.byteLength)
      throw invalid(`Bytes ${session.content.byteLength} are next, not ${start}`);
    const isLast = size !== undefined && end === size;
    if (!isLast && body.byteLength % unitBytes !== 0) throw invalid('A chunk is no multiple of 262144 bytes');
    if (size !== undefined && end > size) throw invalid('A chunk ends behind the object');
    const { keepUnits } = this.misbehaviour;
    const kept = keepUnits === undefined || isLast ? body : body.subarray(0, keepUnits * unitBytes);
    session.content = Buffer.concat([session.content, kept]);
  }

  #draft(request: UploadRequest, metadata: Record<string, unknown>): Draft {
    const { query, headers, bucket } = request;
    if (bucket.denied.has('create')) throw new Refusal(403, 'forbidden', 'does not have storage.objects.create access');
    const keySha256 = customerKeyOf(headers);
    const kmsKeyName = query.get('kmsKeyName');
    if (kmsKeyName !== null && keySha256 !== undefined) throw invalid('Only one key may be given');
    if (kmsKeyName !== null && !this.kmsKeys.has(kmsKeyName)) {
      const text = `Permission denied on Cloud KMS key. Please ensure that your Cloud Storage service account has been authorized to use this key.`;
      throw new Refusal(403, 'forbidden', text);
    }
    if (metadata['name'] !== query.get('name')) throw invalid('The names of the object differ');
    if (metadata['retention'] !== undefined && !bucket.hasObjectRetention) {
      throw new Refusal(
        400,
        'invalid',
        'Object retention configuration is not allowed on a bucket without object retention.',
      );
    }
    return { ...request, metadata, keySha256 };
  }

  #make(draft: Draft, content: Buffer): DoubleObject {
    assertConditions(draft);
    const { bucket, metadata } = draft;
    const name = String(metadata['name']);
    const existing = bucket.objects.get(name);
    if (existing !== undefined) assertUnlocked(draft.bucketName, existing);
    const asked = metadata['md5Hash'];
    const computed = md5Of(content);
    if (asked !== undefined && asked !== computed) {
      throw invalid(`Provided MD5 hash ${JSON.stringify(asked)} doesn't match calculated MD5 hash "${computed}".`);
    }
    const object = this.#objectOf(draft, this.misbehaviour.damageContent === true ? damaged(content) : content);
    bucket.objects.set(name, object);
    return object;
  }

  #objectOf(draft: Draft, content: Buffer): DoubleObject {
    const { ignoreCustomerKey } = this.misbehaviour;
    const { retention, temporaryHold, ...others } = draft.metadata as Partial<DoubleObject['resource']>;
    const keySha256 = ignoreCustomerKey === true ? undefined : draft.keySha256;
    const now = new Date();
    const resource = {
      ...others,
      name: String(draft.metadata['name']),
      bucket: draft.bucketName,
      generation: String((this.#generation += 1)),
      size: String(content.byteLength),
      md5Hash: md5Of(content),
      timeCreated: now.toISOString(),
      updated: now.toISOString(),
      ...(this.misbehaviour.ignoreStorageClass === true && { storageClass: 'STANDARD' }),
      ...(this.misbehaviour.ignoreMetadata === true && { metadata: undefined }),
      ...this.#encryptionFields(draft, keySha256),
      ...this.#lockFields(draft.bucket, { retention, temporaryHold, now }),
    };
    return { content, keySha256, resource };
  }

  #encryptionFields({ query, bucket }: Draft, keySha256: string | undefined): Readonly<Record<string, unknown>> {
    if (keySha256 !== undefined) return { customerEncryption: { encryptionAlgorithm: 'AES256', keySha256 } };
    const asked = this.misbehaviour.ignoreKmsKey === true ? null : query.get('kmsKeyName');
    const kmsKeyName = asked ?? bucket.defaultKmsKeyName;
    return kmsKeyName === undefined ? {} : { kmsKeyName: `${kmsKeyName}/cryptoKeyVersions/1` };
  }

  #lockFields(
    { retentionMs }: DoubleBucket,
    asked: {
      readonly retention: DoubleObject['resource']['retention'] | undefined;
      readonly temporaryHold: boolean | undefined;
      readonly now: Date;
    },
  ): Pick<DoubleObject['resource'], 'retention' | 'temporaryHold' | 'retentionExpirationTime'> {
    const { retention, temporaryHold, now } = asked;
    const { ignoreRetention, ignoreHold } = this.misbehaviour;
    return {
      ...(retention !== undefined && ignoreRetention !== true && { retention }),
      ...(temporaryHold !== undefined && ignoreHold !== true && { temporaryHold }),
      ...(retentionMs > 0 && { retentionExpirationTime: new Date(now.getTime() + retentionMs).toISOString() }),
    };
  }
}

function assertConditions({ query, bucket, metadata }: Draft): void {
  const condition = query.get('ifGenerationMatch');
  if (condition === null) return;
  const generation = bucket.objects.get(String(metadata['name']))?.resource.generation ?? '0';
  if (generation === condition) return;
  throw new Refusal(412, 'conditionNotMet', 'At least one of the pre-conditions you specified did not hold.');
}

function invalid(message: string): Refusal {
  return new Refusal(400, 'invalid', message);
}

function damaged(content: Buffer): Buffer {
  const copy = Buffer.from(content);
  copy[0] = (copy[0] ?? 0) ^ 1;
  return copy;
}
