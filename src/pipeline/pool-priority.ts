import { readdirSync, readFileSync } from 'node:fs';
import { setPriority } from 'node:os';

/** Ten steps of niceness leave a thread a tenth of a core that others want as well. */
const niceness = 10;
const taskFolder = '/proc/self/task';

let isLowered = false;

/**
 * Lets the threads of Node's pool, which compress, give way to pg_dump, to the thread that feeds them and to a server on the
 * same machine: whoever compresses faster than the dump comes only takes time from those it waits for. Linux has a
 * priority for each thread; elsewhere nothing happens. It lasts as long as the process.
 */
export function lowerPoolPriority(): void {
  if (isLowered) return;
  isLowered = true;
  try {
    for (const thread of readdirSync(taskFolder)) {
      if (readFileSync(`${taskFolder}/${thread}/comm`, 'utf8').trim() === 'libuv-worker') {
        setPriority(Number(thread), niceness);
      }
    }
  } catch {
    // Without it the backup takes a little longer.
  }
}
