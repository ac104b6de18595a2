export interface SideBySideOptions {
  /** How many tasks run at once. */
  readonly jobs: number;
  readonly signal: AbortSignal;
}

/** A task of a queue; what it adds to the queue comes before what is there. */
export type Task = (signal: AbortSignal, queue: TaskQueue) => Promise<void>;

export interface TaskQueue {
  addFirst(...tasks: readonly Task[]): void;
}

/**
 * Runs tasks in their order, `jobs` at a time, and those that they add on their way. On the first failure no further task
 * begins, the signal that the others got aborts with it, and it is thrown when all of them have settled; an interruption
 * from outside comes before what it caused.
 */
export async function runQueue(tasks: readonly Task[], options: SideBySideOptions): Promise<void> {
  const teardown = new AbortController();
  const signal = AbortSignal.any([options.signal, teardown.signal]);
  const waiting = [...tasks];
  const queue: TaskQueue = { addFirst: (...added) => void waiting.unshift(...added) };
  const running = new Set<Promise<void>>();
  while (!signal.aborted && (waiting.length > 0 || running.size > 0)) {
    const task = running.size < options.jobs ? waiting.shift() : undefined;
    if (task === undefined) {
      await Promise.race(running);
      continue;
    }
    const run = task(signal, queue)
      .catch((error: unknown) => teardown.abort(error))
      .finally(() => running.delete(run));
    running.add(run);
  }
  await Promise.all(running);
  signal.throwIfAborted();
}

/** Runs tasks as `runQueue` does, and gives their results in the order of the tasks. */
export async function runSideBySide<Result>(
  tasks: readonly ((signal: AbortSignal) => Promise<Result>)[],
  options: SideBySideOptions,
): Promise<Result[]> {
  const results: Result[] = [];
  const queue = tasks.map((task, index) => async (signal: AbortSignal) => {
    results[index] = await task(signal);
  });
  await runQueue(queue, options);
  return results;
}
