import type { ByteStream } from '../core/byte-stream.ts';
import type { ObjectLock } from '../core/object-lock.ts';
import type { ServerEncryption } from '../core/server-encryption.ts';

/** What a store knows of one object. */
export interface StoredObject {
  /** Path below the store's prefix, `/`-separated, without a leading slash. */
  readonly key: string;
  readonly sizeBytes: number;
  readonly modifiedAt: Date;
  /** Names exactly this content: the vendor's version id or ETag. Reads pinned to it never mix two contents. */
  readonly version?: string;
  /** How the store keeps it encrypted, as the store itself says. From `put` and `head`; `list` does not know. */
  readonly serverEncryption?: ServerEncryption;
  /** What keeps it from being deleted. From `put` and `head`, where the store says and the credentials may know. */
  readonly lock?: ObjectLock;
}

export interface PutOptions {
  /** Fail with `conflict` when the key exists. A lost answer to our own put is no conflict: a store knows its own object. */
  readonly createOnly?: boolean;
  /** Best guess of the final size, to choose the first part's size. The body may be shorter or longer. */
  readonly expectedSizeBytes?: number;
  /** How many puts at once, this one among them, share the memory for uploads; 1 by default. */
  readonly sharedBy?: number;
  readonly signal?: AbortSignal;
}

export interface GetOptions {
  /** First byte wanted; 0 by default. Behind the object's end there is nothing to read, which is no failure. */
  readonly start?: number;
  /** Byte after the last one wanted; the object's end by default, and at most. */
  readonly end?: number;
  /** Read exactly this content (`StoredObject.version`), or fail with `integrity`. */
  readonly version?: string;
  readonly signal?: AbortSignal;
}

/** What a `put` that never came to its end has left in a store: an unfinished upload, a temporary file. */
export interface UnfinishedUpload {
  /** Key of the object that it would have become; of a file with a very long name, only the folder is sure to be right. */
  readonly key: string;
  /** Tells it from others of the same key; means something to its store only. */
  readonly id: string;
  /** When it began or grew, whichever is later: one that has been silent for long has nobody who goes on with it. */
  readonly lastActiveAt: Date;
}

/**
 * A place that keeps objects by key. The contract, which every implementation proves by passing
 * `test/contract/object-store-contract.ts`:
 *
 * - `put` stores the whole body or nothing: an object becomes visible only when every byte is durable, an existing
 *   object is replaced at once or stays as it was, and when the body throws or the signal aborts, nothing is left
 *   (unfinished parts aborted, temporary files removed) and the body's own error, or the signal's reason, is thrown. A
 *   signal that aborts while the last request is under way comes too late: the `put` ends as that request does. Azure
 *   cannot discard blocks: those of a failed `put` stay unseen until the next `put` of the key, or for a week.
 * - `put` reads the body once, in order, keeps a bounded amount of it in memory, and does not keep a chunk after asking
 *   for the next one unless it copied it.
 * - `get` fails with `notFound` before the first byte when there is no such object; it ends only after the last byte
 *   asked for, and throws when the connection is cut for good. Transient faults are retried inside, at the exact byte.
 * - `head` answers `null` for "not there", never for "failed", and never when the bucket or folder itself is missing.
 * - `list` gives every visible object whose key starts with `prefix`, in any order, and no unfinished ones.
 * - `delete` is idempotent: a key that is not there is a success.
 * - `listUnfinished` gives what uploads to keys that start with `prefix` have left, in any order, those still under way
 *   included; nothing where the store keeps no such thing, or removes it by itself and does not show it.
 * - `discardUnfinished` removes exactly these, never an object, and is idempotent: one that is gone, or has become an
 *   object meanwhile, is a success. A `put` that is still under way fails then.
 * - Server-side encryption, lock, class and tags are settings of the store and go with every `put`. What was asked for is
 *   compared with what the server then says of the object: a difference removes it again and fails with `policy`, whose
 *   message says what could not be removed. Encryption and lock count only when the server says them; a class, tags or an
 *   encryption context of which it says nothing, or nothing to these credentials, are taken on trust.
 * - Retries of transient faults belong to the implementation; the caller never repeats a call.
 *
 * Errors are `BackupError`s of kind `notFound` (no such object, bucket or folder), `access` (denied, or credentials
 * refused), `conflict` (`createOnly`), `integrity` (content changed under a pinned read), `key` (the customer's key for
 * server-side encryption is missing, wrong or refused), `policy` (the server did not apply what was asked for, or a lock
 * forbids the deletion), `config` (a setting this server cannot have), `storage` (all others: full, unreachable, server
 * error), whose message names the store and the object. A key that not every store can keep (`isObjectKey`) is a `bug`.
 */
export interface ObjectStore extends AsyncDisposable {
  /** The address as the user gave it, without secrets; for messages and the manifest. */
  readonly url: string;
  /** Whether `version` means the same to everyone who opens the store, so that it is worth recording. */
  readonly hasStableVersions: boolean;
  put(key: string, body: ByteStream, options?: PutOptions): Promise<StoredObject>;
  get(key: string, options?: GetOptions): ByteStream;
  head(key: string, options?: { readonly signal?: AbortSignal }): Promise<StoredObject | null>;
  list(prefix: string, options?: { readonly signal?: AbortSignal }): AsyncIterable<StoredObject>;
  delete(keys: readonly string[], options?: { readonly signal?: AbortSignal }): Promise<void>;
  listUnfinished(prefix: string, options?: { readonly signal?: AbortSignal }): AsyncIterable<UnfinishedUpload>;
  discardUnfinished(uploads: readonly UnfinishedUpload[], options?: { readonly signal?: AbortSignal }): Promise<void>;
}
