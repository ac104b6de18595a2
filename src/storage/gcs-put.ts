import { randomUUID } from 'node:crypto';
import { BackupError } from '../core/backup-error.ts';
import { isManifestKey } from '../core/manifest-name.ts';
import type { LockRequest } from '../core/object-lock.ts';
import type { ServerEncryption } from '../core/server-encryption.ts';
import { parseAnswer, type GcsCalls, type Query } from './gcs-calls.ts';
import {
  describeDifference,
  describeResource,
  toLockFields,
  toResource,
  type GcsResource,
  type LockFields,
} from './gcs-object.ts';
import { hiddenIfDenied, putIdMetadata } from './store-calls.ts';
import { chunkUnitBytes, ForgottenSession, GcsSession, PrematureObject } from './gcs-session.ts';
import { createMd5, md5Of } from './md5.ts';
import type { Part, PartTarget, PartUpload } from './multipart.ts';
import type { StoredObject } from './object-store.ts';

/** What is asked of every object of a store. */
export interface GcsDemands {
  /** As the server should then say; `undefined` leaves it to the bucket. */
  readonly encryption: ServerEncryption | undefined;
  readonly lock: LockRequest | undefined;
  readonly tags: Readonly<Record<string, string>>;
  readonly storageClass: string | undefined;
}

/**
 * One `put` into Cloud Storage. The object carries a random id of this put in its metadata: when the answer to the
 * request that creates it is lost, the repetition says that the object exists already, and the id tells whether the
 * object is ours.
 */
export class GcsPut implements PartTarget<StoredObject> {
  readonly calls: GcsCalls;
  readonly key: string;
  readonly action: string;
  readonly #demands: GcsDemands;
  readonly #isCreateOnly: boolean;
  readonly #putId = randomUUID();
  readonly #lock: LockFields;

  constructor(calls: GcsCalls, key: string, options: { demands: GcsDemands; isCreateOnly: boolean }) {
    this.calls = calls;
    this.key = key;
    this.action = `store ${calls.describe(key)}`;
    this.#demands = options.demands;
    this.#isCreateOnly = options.isCreateOnly;
    this.#lock = toLockFields(options.demands.lock, new Date());
  }

  async putWhole(bytes: Buffer, signal: AbortSignal): Promise<StoredObject> {
    const { calls } = this;
    const md5 = md5Of(bytes);
    const { body, contentType } = toMultipartBody(JSON.stringify({ ...this.#resource, md5Hash: md5 }), bytes);
    const url = calls.uploadUrl({ uploadType: 'multipart', ...this.#query });
    const headers = { ...calls.target.keyHeaders, 'content-type': contentType };
    const request = async (): Promise<GcsResource> =>
      toResource(parseAnswer((await calls.send({ method: 'POST', url, headers, body })).text));
    const policy = calls.target.timings.patientRetry;
    return await this.settle(calls.run(this.action, request, { signal, policy }), { sizeBytes: bytes.byteLength, md5 });
  }

  async begin(signal: AbortSignal): Promise<GcsPartUpload> {
    const { calls } = this;
    const url = calls.uploadUrl({ uploadType: 'resumable', ...this.#query });
    const headers = {
      ...calls.target.keyHeaders,
      'content-type': 'application/json; charset=UTF-8',
      'x-upload-content-type': 'application/octet-stream',
    };
    const body = [Buffer.from(JSON.stringify(this.#resource))];
    const request = async (): Promise<string> => {
      const { location } = (await calls.send({ method: 'POST', url, headers, body })).headers;
      if (location !== undefined && URL.canParse(location, url)) return location;
      throw new BackupError('storage', `cannot ${this.action}: the server did not begin the upload`);
    };
    const location = await calls.run(this.action, request, { signal, policy: calls.target.timings.patientRetry });
    return new GcsPartUpload(this, new GcsSession(calls, onOwnHost(location, url), calls.describe(this.key)));
  }

  /**
   * Fails with `conflict` when a create-only key exists. The condition on the request itself is what counts; this look
   * beforehand spares the upload.
   */
  async assertAbsent(signal: AbortSignal | undefined): Promise<void> {
    if (!this.#isCreateOnly) return;
    const found = await this.#look(signal);
    if (found !== null && found !== 'hidden') throw this.#alreadyThere();
  }

  /**
   * The outcome of `request`, which makes the object visible: what the server then says of it, compared with what was
   * sent and asked for; an object that differs is removed again. A failure is a success after all when the object there
   * is ours: only the answer to an earlier attempt was lost.
   */
  async settle(
    request: Promise<GcsResource>,
    sent: { readonly sizeBytes: number; readonly md5: string },
  ): Promise<StoredObject> {
    const resource = await request.catch(async (error: unknown): Promise<GcsResource> => {
      if (!mayBeOwnSuccess(error)) throw error;
      const found = await this.#look(undefined);
      if (found === null || found === 'hidden' || found.metadata?.[putIdMetadata] !== this.#putId) throw error;
      return found;
    });
    const problem = this.#compare(resource, sent);
    if (problem === undefined) return describeResource(this.key, resource);
    throw await this.discard(resource, problem);
  }

  /** Removes an object of this put that should not be there; gives the error to throw, which says if that failed. */
  async discard(resource: GcsResource, problem: BackupError): Promise<BackupError> {
    const { generation } = resource;
    try {
      if (this.#demands.lock !== undefined) await this.#unlock(generation);
      await this.calls.remove(this.key, { generation });
      return problem;
    } catch (error) {
      return new BackupError(problem.kind, `${problem.message}, and it could not be removed again`, {
        hint: `Delete the object by hand: ${this.calls.fullKey(this.key)}.`,
        cause: error,
      });
    }
  }

  /** Lifts what this put has set on its own object, as far as it can be lifted. */
  async #unlock(generation: string): Promise<void> {
    const url = this.calls.objectUrl(this.key, { generation, overrideUnlockedRetention: 'true' });
    const headers = { 'content-type': 'application/json' };
    const body = [Buffer.from(JSON.stringify({ temporaryHold: false, retention: null }))];
    const request = async () => await this.calls.send({ method: 'PATCH', url, headers, body });
    await this.calls.run(`unlock ${this.calls.describe(this.key)}`, request).catch(() => {});
  }

  #compare(
    resource: GcsResource,
    { sizeBytes, md5 }: { readonly sizeBytes: number; readonly md5: string },
  ): BackupError | undefined {
    if (Number(resource.size) !== sizeBytes || (resource.md5Hash ?? md5) !== md5) {
      return new BackupError('integrity', `cannot ${this.action}: it arrived damaged at the server`, {
        hint: 'Run the backup again.',
      });
    }
    const { encryption, tags } = this.#demands;
    const asked = { encryption, tags, lock: this.#lock, storageClass: this.#storageClass };
    const difference = describeDifference(asked, resource);
    if (difference === null) return undefined;
    return new BackupError('policy', `cannot ${this.action}: the server ${difference}`, {
      hint: 'Check the encryption, retention and class of the bucket, and that the server supports what was asked for.',
    });
  }

  get #query(): Query {
    const { encryption } = this.#demands;
    return {
      name: this.calls.fullKey(this.key),
      ...(this.#isCreateOnly && { ifGenerationMatch: '0' }),
      ...(encryption?.method === 'gcs-cmek' && { kmsKeyName: encryption.keyName }),
    };
  }

  /** Without a content encoding: the server would undo it while the object is read. */
  get #resource(): Readonly<Record<string, unknown>> {
    const storageClass = this.#storageClass;
    return {
      name: this.calls.fullKey(this.key),
      contentType: 'application/octet-stream',
      metadata: { ...this.#demands.tags, [putIdMetadata]: this.#putId },
      ...(storageClass !== undefined && { storageClass }),
      ...this.#lock,
    };
  }

  /** A manifest must be readable at once and cheaply, whatever its objects are. */
  get #storageClass(): string | undefined {
    return isManifestKey(this.key) ? undefined : this.#demands.storageClass;
  }

  /** What is there now; `hidden` from credentials that may only write. */
  async #look(signal: AbortSignal | undefined): Promise<GcsResource | null | 'hidden'> {
    return await this.calls.head(this.key, signal).catch(hiddenIfDenied);
  }

  #alreadyThere(): BackupError {
    return new BackupError('conflict', `cannot ${this.action}: it is there already`);
  }
}

/**
 * The last part is sent up to its last whole unit, and the rest of it, less than one unit, with `complete`: so no part
 * makes the object visible, and the request that does is small.
 */
class GcsPartUpload implements PartUpload<StoredObject> {
  readonly #put: GcsPut;
  readonly #session: GcsSession;
  readonly #md5 = createMd5();
  #sizeBytes = 0;
  #tail: Buffer = Buffer.alloc(0);
  /** Parts are handed over before their predecessors are done; this is the last one's turn. */
  #turn: Promise<void> = Promise.resolve();

  constructor(put: GcsPut, session: GcsSession) {
    this.#put = put;
    this.#session = session;
  }

  async sendPart(part: Part, signal: AbortSignal): Promise<void> {
    const sending = this.#turn.then(async () => await this.#send(part.bytes, signal));
    this.#turn = sending;
    await sending;
  }

  async #send(bytes: Buffer, signal: AbortSignal): Promise<void> {
    this.#md5.update(bytes);
    const wholeBytes = bytes.byteLength - (bytes.byteLength % chunkUnitBytes);
    if (wholeBytes > 0)
      await this.#session.send(bytes.subarray(0, wholeBytes), this.#sizeBytes, signal).catch(this.#clean);
    this.#sizeBytes += wholeBytes;
    this.#tail = Buffer.from(bytes.subarray(wholeBytes));
  }

  async complete(signal: AbortSignal): Promise<StoredObject> {
    await this.#put.assertAbsent(signal);
    const md5 = this.#md5.digest('base64');
    const finished = this.#session.finish(this.#tail, { start: this.#sizeBytes, md5, signal }).catch(this.#clean);
    return await this.#put.settle(finished, { sizeBytes: this.#sizeBytes + this.#tail.byteLength, md5 });
  }

  async abort(): Promise<void> {
    await this.#session.cancel();
  }

  readonly #clean = async (error: unknown): Promise<never> => {
    throw error instanceof PrematureObject ? await this.#put.discard(error.resource, error) : error;
  };
}

/** One body for metadata and content ("multipart upload" of the JSON API, RFC 2387). */
function toMultipartBody(json: string, bytes: Buffer): { body: readonly Uint8Array[]; contentType: string } {
  const boundary = randomUUID();
  const head = `--${boundary}\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n${json}\r\n--${boundary}\r\ncontent-type: application/octet-stream\r\n\r\n`;
  return {
    body: [Buffer.from(head), bytes, Buffer.from(`\r\n--${boundary}--\r\n`)],
    contentType: `multipart/related; boundary=${boundary}`,
  };
}

/**
 * The session's address, on the host that was asked. An answer does not decide where credentials go, and a server
 * behind a tunnel or a proxy names itself as nobody else knows it.
 */
function onOwnHost(location: string, asked: string): string {
  const { pathname, search } = new URL(location, asked);
  return `${new URL(asked).origin}${pathname}${search}`;
}

/** Errors that a repetition gets when the first call succeeded and only its answer was lost. */
function mayBeOwnSuccess(error: unknown): boolean {
  return error instanceof ForgottenSession || (error instanceof BackupError && error.kind === 'conflict');
}
