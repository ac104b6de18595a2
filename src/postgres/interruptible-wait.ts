/**
 * Waits for one promise at a time and gives up when interrupted. `Promise.race` against a long-lived promise would leave
 * one reaction per wait behind, some hundred thousand of them in a long transfer.
 */
export class InterruptibleWait {
  #interruption: { readonly reason: unknown } | undefined;
  #giveUp: ((reason: unknown) => void) | undefined;

  /** Fails the current wait, and every later one, with `reason`. The first interruption counts. */
  interrupt(reason: unknown): void {
    this.#interruption ??= { reason };
    this.#giveUp?.(this.#interruption.reason);
  }

  async for<T>(promise: Promise<T>): Promise<T> {
    return await new Promise<T>((resolve, reject) => {
      this.#giveUp = reject;
      promise.then(resolve, reject);
      if (this.#interruption !== undefined) reject(this.#interruption.reason);
    });
  }
}
