import type { ByteStream } from '../core/byte-stream.ts';
import type { ClientProcess } from './client-process.ts';
import { InterruptibleWait } from './interruptible-wait.ts';

export interface FeedOptions {
  readonly signal?: AbortSignal | undefined;
  /** When the child needs no more, and exits with 0: `return` at once, or `drain` the source to its end first. */
  readonly onEarlyEnd: 'return' | 'drain';
}

/** `all`: the child took every byte. `part`: it ended, or closed its stdin, before it had them all. */
export type Fed = 'all' | 'part';

const childEnded = Symbol('child ended');

/**
 * Writes `source` to the child's stdin, each chunk as it comes and before the next one is asked for. Throws what the
 * source throws, or the signal's reason. Leaves stdin open in every case, and the child alive: the caller decides what
 * the end of the input may mean to it. A child that exits with 0 while the source only has its end left took everything.
 */
export async function feedClient(client: ClientProcess, source: ByteStream, options: FeedOptions): Promise<Fed> {
  const wait = new InterruptibleWait();
  const onAbort = () => wait.interrupt(options.signal?.reason);
  options.signal?.addEventListener('abort', onAbort, { once: true });
  if (options.signal?.aborted === true) onAbort();
  const iterator = source[Symbol.asyncIterator]();
  const feed = new Feed(client, iterator, wait);
  try {
    const fed = await feed.run();
    if (fed === 'part' && options.onEarlyEnd === 'drain') await feed.drainIfDone();
    return fed;
  } finally {
    options.signal?.removeEventListener('abort', onAbort);
    feed.stop();
  }
}

class Feed {
  readonly #client: ClientProcess;
  readonly #iterator: AsyncIterator<Uint8Array>;
  /** Interrupted by the signal only. */
  readonly #wait: InterruptibleWait;
  #pending: Promise<IteratorResult<Uint8Array>> | undefined;
  /** Settles, without an error, when the socket needs the last chunk no more. */
  #writing: Promise<void> = Promise.resolve();
  #isAtEnd = false;

  constructor(client: ClientProcess, iterator: AsyncIterator<Uint8Array>, wait: InterruptibleWait) {
    this.#client = client;
    this.#iterator = iterator;
    this.#wait = wait;
  }

  async run(): Promise<Fed> {
    const untilChildEnds = new InterruptibleWait();
    void this.#client.exited.then(() => untilChildEnds.interrupt(childEnded));
    try {
      for (;;) {
        const next = await this.#wait.for(untilChildEnds.for(this.#next()));
        this.#pending = undefined;
        if (next.done === true) return 'all';
        await this.#wait.for(untilChildEnds.for(this.#write(next.value)));
      }
    } catch (error) {
      if (error !== childEnded) throw error;
      return (await this.#isOnlyEndLeft()) ? 'all' : 'part';
    }
  }

  /** When the child is content, reads what is left, so that the source gets to its end and its checks. */
  async drainIfDone(): Promise<void> {
    const { code } = await this.#wait.for(this.#client.exited);
    if (code !== 0) return;
    await this.#writing;
    while (!this.#isAtEnd) {
      this.#pending = undefined;
      await this.#wait.for(this.#next());
    }
  }

  /**
   * Tells a source that is not at its end that nobody will read on; before, the chunk that is written is not its own
   * again. Both may be waiting: we do not. A write ends with the child at the latest.
   */
  stop(): void {
    if (!this.#isAtEnd) void this.#writing.then(async () => await this.#iterator.return?.().catch(() => {}));
  }

  /** The source's next step; the same one until somebody has taken it. */
  #next(): Promise<IteratorResult<Uint8Array>> {
    this.#pending ??= this.#step();
    return this.#pending;
  }

  async #step(): Promise<IteratorResult<Uint8Array>> {
    try {
      const next = await this.#iterator.next();
      this.#isAtEnd = next.done === true;
      return next;
    } catch (error) {
      this.#isAtEnd = true;
      throw error;
    }
  }

  /** A program that has all it needs may exit just before we learn that the source has nothing more. */
  async #isOnlyEndLeft(): Promise<boolean> {
    if (this.#pending === undefined) return false;
    const { code } = await this.#client.exited;
    if (code !== 0) return false;
    return (await this.#wait.for(this.#pending)).done === true;
  }

  async #write(chunk: Uint8Array): Promise<void> {
    const { stdin } = this.#client;
    const write = new Promise<void>((resolve, reject) => {
      stdin.write(chunk, (error) => (error ? reject(childEnded) : resolve()));
    });
    this.#writing = write.catch(() => {});
    await write;
  }
}
