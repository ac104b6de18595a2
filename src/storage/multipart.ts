import { BackupError } from '../core/backup-error.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import { abortable } from './abortable.ts';
import { planPartSize, type PartSizing } from './part-size.ts';

export interface Part {
  /** From 1, without gaps. */
  readonly number: number;
  /** The target's until `sendPart` settles; it may read it as often as it likes. */
  readonly bytes: Buffer;
}

/** Where a body can go whole or in parts. Every method retries transient faults itself and throws when it gives up. */
export interface PartTarget<Result> {
  /** For messages: `store "URL"`. */
  readonly action: string;
  /**
   * Stores a small body with one request. Like `begin` and `complete` it decides what exists, so it is not cut off in
   * the middle when the signal aborts: its outcome would be unknown. The signal only ends its retries.
   */
  putWhole(bytes: Buffer, signal: AbortSignal): Promise<Result>;
  begin(signal: AbortSignal): Promise<PartUpload<Result>>;
}

/** An object that is being stored in parts. Nothing of it is visible before `complete`. */
export interface PartUpload<Result> {
  /** Called in the order of the parts, the next one before the last has settled. */
  sendPart(part: Part, signal: AbortSignal): Promise<void>;
  /** Makes the object of all parts sent. */
  complete(signal: AbortSignal): Promise<Result>;
  /** Removes the parts. Called after every `sendPart` has settled, whatever happened before. */
  abort(): Promise<void>;
}

export interface PartUploadOptions extends PartSizing {
  readonly maxPartsInFlight: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Stores `body`: with one request when it ends within the first part, otherwise in parts, several in flight.
 *
 * Memory: the bytes taken from the body and not yet acknowledged by the store are never more than `memoryBytes` - or
 * one part, when so many were sent that the rest must be larger than that, see `planPartSize` - plus the chunk at hand,
 * which is the producer's. Chunks are copied, so the producer may reuse them.
 *
 * On any failure - of the body, a part, or the signal - the other parts are cut off, the upload is aborted and the first
 * failure is thrown as it is; a failure to abort is not reported over it.
 */
export async function uploadInParts<Result>(
  body: ByteStream,
  target: PartTarget<Result>,
  options: PartUploadOptions,
): Promise<Result> {
  return await new PartRun(target, options).run(body);
}

class PartRun<Result> {
  readonly #target: PartTarget<Result>;
  readonly #options: PartUploadOptions;
  readonly #failure = new AbortController();
  readonly #signal: AbortSignal;
  readonly #sending = new Set<Promise<void>>();
  /** Buffers of the current part size that are free again. */
  #spare: Buffer[] = [];
  #heldBytes = 0;
  #nextNumber = 1;
  #sentBytes = 0;
  #upload: PartUpload<Result> | undefined;

  constructor(target: PartTarget<Result>, options: PartUploadOptions) {
    this.#target = target;
    this.#options = options;
    const own = this.#failure.signal;
    this.#signal = options.signal === undefined ? own : AbortSignal.any([options.signal, own]);
  }

  async run(body: ByteStream): Promise<Result> {
    try {
      const rest = await this.#sendFullParts(body);
      return await this.#finish(rest);
    } catch (error) {
      this.#failure.abort(error);
      await Promise.all(this.#sending);
      await this.#upload?.abort().catch(() => {});
      throw this.#signal.reason;
    }
  }

  /** Sends every part that can be filled and gives the bytes left over. */
  async #sendFullParts(body: ByteStream): Promise<Buffer> {
    let buffer: Buffer | undefined;
    let filled = 0;
    for await (const chunk of abortable(body, this.#signal)) {
      for (let taken = 0; taken < chunk.byteLength;) {
        buffer ??= await this.#allocate();
        const piece = chunk.subarray(taken, taken + buffer.byteLength - filled);
        buffer.set(piece, filled);
        filled += piece.byteLength;
        taken += piece.byteLength;
        if (filled < buffer.byteLength) continue;
        await this.#startSending(buffer, buffer);
        buffer = undefined;
        filled = 0;
      }
    }
    return buffer?.subarray(0, filled) ?? Buffer.alloc(0);
  }

  async #finish(rest: Buffer): Promise<Result> {
    this.#signal.throwIfAborted();
    if (this.#upload === undefined) return await this.#target.putWhole(rest, this.#signal);
    if (rest.byteLength > 0) await this.#startSending(rest, rest);
    await Promise.all(this.#sending);
    this.#signal.throwIfAborted();
    return await this.#upload.complete(this.#signal);
  }

  /** A buffer for the next part, as soon as the memory bound and the number in flight leave room for it. */
  async #allocate(): Promise<Buffer> {
    const { memoryBytes, maxPartsInFlight } = this.#options;
    this.#demandRoom();
    const sizeBytes = planPartSize(this.#nextNumber, this.#options);
    const mustWait = (): boolean =>
      this.#sending.size > 0 && (this.#sending.size >= maxPartsInFlight || this.#heldBytes + sizeBytes > memoryBytes);
    while (mustWait()) await Promise.race(this.#sending);
    this.#signal.throwIfAborted();
    this.#heldBytes += sizeBytes;
    this.#dropSpares(sizeBytes);
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(sizeBytes);
  }

  #demandRoom(): void {
    const { maxParts, maxObjectBytes } = this.#options.limits;
    if (this.#nextNumber <= maxParts && this.#sentBytes < maxObjectBytes) return;
    const message = `cannot ${this.#target.action}: more than ${this.#sentBytes} bytes in ${maxParts} parts are too many for it`;
    throw new BackupError('storage', message, {
      hint: 'Back up in several streams (--jobs), or give parts more room (--upload-memory).',
    });
  }

  /** Gives back the memory of buffers of another size: the garbage collector would let them pile up for a while. */
  #dropSpares(sizeBytes: number): void {
    const fits = (spare: Buffer): boolean => spare.byteLength === sizeBytes;
    for (const spare of this.#spare) if (!fits(spare)) (spare.buffer as ArrayBuffer).transfer(0);
    this.#spare = this.#spare.filter(fits);
  }

  /** Starts to send `bytes`, which lie in `buffer`; gives the buffer back once they are acknowledged. */
  async #startSending(bytes: Buffer, buffer: Buffer): Promise<void> {
    this.#upload ??= await this.#target.begin(this.#signal);
    this.#signal.throwIfAborted();
    const sending = this.#sendPart(this.#upload, { number: this.#nextNumber++, bytes }, buffer);
    this.#sentBytes += bytes.byteLength;
    this.#sending.add(sending);
    void sending.finally(() => this.#sending.delete(sending));
  }

  /** Never rejects: a failure ends the whole upload through the signal. */
  async #sendPart(upload: PartUpload<Result>, part: Part, buffer: Buffer): Promise<void> {
    try {
      await upload.sendPart(part, this.#signal);
      this.#heldBytes -= buffer.byteLength;
      this.#spare.push(buffer);
    } catch (error) {
      this.#failure.abort(error);
    }
  }
}
