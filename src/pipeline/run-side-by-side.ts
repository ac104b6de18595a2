export interface SideBySideOptions {
  /** How many tasks run at once. */
  readonly jobs: number;
  readonly signal: AbortSignal;
}

/**
 * Runs tasks in their order, `jobs` at a time, and gives their results in that order. On the first failure no further
 * task begins, the signal that the others got aborts with it, and it is thrown when all of them have settled; an
 * interruption from outside comes before what it caused.
 */
export async function runSideBySide<Result>(
  tasks: readonly ((signal: AbortSignal) => Promise<Result>)[],
  options: SideBySideOptions,
): Promise<Result[]> {
  const teardown = new AbortController();
  const signal = AbortSignal.any([options.signal, teardown.signal]);
  const results: Result[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < tasks.length && !signal.aborted) {
      const index = next;
      next += 1;
      const task = tasks[index];
      if (task !== undefined) results[index] = await task(signal);
    }
  };
  const workers = Array.from({ length: Math.min(options.jobs, tasks.length) }, async () => {
    await work().catch((error: unknown) => teardown.abort(error));
  });
  await Promise.all(workers);
  signal.throwIfAborted();
  return results;
}
