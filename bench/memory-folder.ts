import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';

/** The tmpfs that every Linux has. */
const memoryFileSystem = '/dev/shm';
/** See statfs(2). */
const tmpfsMagic = 0x01021994;

export function isInMemory(path: string): boolean {
  return statfsSync(path).type === tmpfsMagic;
}

/** A folder in memory that vanishes with the scope, and with this process at the latest unless that is killed. */
export class MemoryFolder implements Disposable {
  readonly path: string;
  readonly #remove = (): void => rmSync(this.path, { recursive: true, force: true });

  constructor() {
    if (!isInMemory(memoryFileSystem)) throw new Error(`${memoryFileSystem} is no file system in memory`);
    this.path = mkdtempSync(join(memoryFileSystem, 'lb-bench-'));
    process.once('exit', this.#remove);
    // Before the listeners that end the process by the same signal.
    for (const signal of endingSignals) process.prependOnceListener(signal, this.#remove);
  }

  [Symbol.dispose](): void {
    this.#remove();
    process.off('exit', this.#remove);
    for (const signal of endingSignals) process.off(signal, this.#remove);
  }
}

const endingSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
