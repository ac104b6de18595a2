import { toBackupError, type BackupError } from '../core/backup-error.ts';
import type { ObjectStore } from '../storage/object-store.ts';

/** A store that has dropped out of a backup, and why. */
export interface FailedDestination {
  readonly store: ObjectStore;
  readonly error: BackupError;
}

/**
 * The stores that one backup goes to. Either all of them must succeed, or - with `allowPartial` - those that fail drop
 * out and the others go on, as long as one is left.
 */
export class Destinations {
  readonly #allowPartial: boolean;
  readonly #failed: FailedDestination[] = [];
  #live: readonly ObjectStore[];

  constructor(stores: readonly ObjectStore[], allowPartial: boolean) {
    this.#live = stores;
    this.#allowPartial = allowPartial;
  }

  /** Those that have not failed. */
  get live(): readonly ObjectStore[] {
    return this.#live;
  }

  get failed(): readonly FailedDestination[] {
    return this.#failed;
  }

  /**
   * Does `work` in every live store at once, and gives its results in the stores' order. When a failure is everybody's, the signal
   * that the others got aborts, and it is thrown after all of them have settled.
   */
  async forEach<Result>(
    signal: AbortSignal,
    work: (store: ObjectStore, signal: AbortSignal, index: number) => Promise<Result>,
  ): Promise<ReadonlyMap<ObjectStore, Result>> {
    const teardown = new AbortController();
    const all = AbortSignal.any([signal, teardown.signal]);
    const results = new Map<ObjectStore, Result>();
    const attempt = async (store: ObjectStore, index: number): Promise<void> => {
      try {
        results.set(store, await work(store, all, index));
      } catch (error) {
        if (all.aborted || !this.#drop(store, error)) teardown.abort(error);
      }
    };
    await Promise.all(this.#live.map(attempt));
    // An interruption that came too late to stop anything is none.
    if (teardown.signal.aborted) throw all.reason;
    return new Map([...results].toSorted(([a], [b]) => this.#live.indexOf(a) - this.#live.indexOf(b)));
  }

  /** Of several objects on their way to one store, each fails there. */
  #drop(store: ObjectStore, error: unknown): boolean {
    if (!this.#live.includes(store)) return true;
    if (!this.#allowPartial || this.#live.length === 1) return false;
    this.#live = this.#live.filter((other) => other !== store);
    this.#failed.push({ store, error: toBackupError(error, 'bug', `cannot write to "${store.url}"`) });
    return true;
  }
}
