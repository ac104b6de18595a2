import type { ByteStream } from '../../src/core/byte-stream.ts';
import type { GetOptions, PutOptions, StoredObject } from '../../src/storage/object-store.ts';
import { MemoryStore } from './memory-store.ts';

/** A store in memory whose calls take a moment, and which counts how many are under way at once. */
export class CountingStore extends MemoryStore {
  #inFlight = 0;
  mostInFlight = 0;
  /** Keys of all puts, in order. */
  readonly puts: string[] = [];

  override async put(key: string, body: ByteStream, options?: PutOptions): Promise<StoredObject> {
    this.puts.push(key);
    using _ = this.#enter();
    await pause();
    return await super.put(key, body, options);
  }

  override async *get(key: string, options?: GetOptions): ByteStream {
    using _ = this.#enter();
    await pause();
    yield* super.get(key, options);
  }

  #enter(): Disposable {
    this.#inFlight += 1;
    this.mostInFlight = Math.max(this.mostInFlight, this.#inFlight);
    return { [Symbol.dispose]: () => void (this.#inFlight -= 1) };
  }
}

/** Long enough for everything that can run to run. */
async function pause(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
