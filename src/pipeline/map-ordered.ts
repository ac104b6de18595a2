/**
 * Runs `work` on the items of `source`, up to `concurrency` at a time, and yields the results in the order of the items.
 * Reads ahead on its own, so that the source flows while the consumer is busy; holds at most `concurrency` items that
 * are not yet consumed. The first failure, of the source or of any work, is thrown in its place in the order.
 *
 * When the consumer stops early, the source is told to stop but not waited for: a source that can block must listen to
 * the signal of its run.
 */
export async function* mapOrdered<Item, Result>(
  source: AsyncIterable<Item>,
  concurrency: number,
  work: (item: Item) => Promise<Result>,
): AsyncGenerator<Result, void, undefined> {
  const queue = new BoundedQueue<Started<Result>>(concurrency);
  const iterator = source[Symbol.asyncIterator]();
  const reading = readAhead(iterator, queue, work);
  try {
    for (;;) {
      const next = await queue.take();
      if (next === undefined) break;
      yield await next.result;
      queue.release();
    }
    await reading;
  } finally {
    if (queue.close()) void Promise.resolve(iterator.return?.()).catch(() => {});
  }
}

async function readAhead<Item, Result>(
  iterator: AsyncIterator<Item>,
  queue: BoundedQueue<Started<Result>>,
  work: (item: Item) => Promise<Result>,
): Promise<void> {
  try {
    for (;;) {
      await queue.whenFree();
      if (queue.isClosed) return;
      const item = await iterator.next();
      if (item.done === true || queue.isClosed) break;
      queue.add(started(work(item.value)));
    }
  } catch (error) {
    queue.add(started(Promise.reject(error)));
  }
  queue.finish();
}

/** Work under way. The promise is wrapped because an async function would otherwise wait for it. */
interface Started<Result> {
  readonly result: Promise<Result>;
}

/** A rejection is thrown when its turn comes; until then Node must not call it unhandled. */
function started<Result>(result: Promise<Result>): Started<Result> {
  result.catch(() => {});
  return { result };
}

/** First in, first out; an entry counts against the capacity until it is released. One producer, one consumer. */
class BoundedQueue<T> {
  readonly #capacity: number;
  readonly #entries: T[] = [];
  #held = 0;
  #state: 'open' | 'finished' | 'closed' = 'open';
  #wakeProducer: (() => void) | undefined;
  #wakeConsumer: (() => void) | undefined;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  async whenFree(): Promise<void> {
    while (this.#held >= this.#capacity && !this.isClosed) {
      await new Promise<void>((resolve) => (this.#wakeProducer = resolve));
    }
  }

  add(entry: T): void {
    this.#held += 1;
    this.#entries.push(entry);
    this.#wakeConsumer?.();
  }

  release(): void {
    this.#held -= 1;
    this.#wakeProducer?.();
  }

  finish(): void {
    if (this.#state === 'open') this.#state = 'finished';
    this.#wakeConsumer?.();
  }

  /** Whether the producer was still at work. */
  close(): boolean {
    const wasOpen = this.#state === 'open';
    this.#state = 'closed';
    this.#wakeProducer?.();
    return wasOpen;
  }

  /** The oldest entry, or `undefined` after the last one. */
  async take(): Promise<T | undefined> {
    while (this.#entries.length === 0 && this.#state === 'open') {
      await new Promise<void>((resolve) => (this.#wakeConsumer = resolve));
    }
    return this.#entries.shift();
  }
}
