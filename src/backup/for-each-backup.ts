import type { ListedBackup } from '../catalog/catalog.ts';
import { BackupError } from '../core/backup-error.ts';
import { mapOrdered } from '../pipeline/map-ordered.ts';

/** More requests at once than this overrun small stores and key services, and gain nothing. */
const maxInFlight = 8;
/** Each passphrase takes a core and 64 MiB for as long as it is tried. */
const maxPassphrasesInFlight = 2;

export interface Sweep<Result> {
  readonly backups: readonly ListedBackup[];
  readonly signal: AbortSignal;
  /** Whether passphrases are among what opens them. */
  readonly takesPassphrases: boolean;
  /** `null` where there is nothing to say. What it throws ends the sweep. */
  work(backup: ListedBackup, signal: AbortSignal): Promise<Result | null>;
}

/**
 * Works on several backups at once, and gives what is to be said of each, in their order. It ends, or fails with the first
 * failure, only when no work is under way any more: keys may then be wiped.
 */
export async function forEachBackup<Result>(sweep: Sweep<Result>): Promise<Result[]> {
  const stop = new AbortController();
  const signal = AbortSignal.any([sweep.signal, stop.signal]);
  const run = async (backup: ListedBackup): Promise<Result | null> => {
    if (signal.aborted) return null;
    try {
      return await sweep.work(backup, signal);
    } catch (error) {
      stop.abort(error);
      return null;
    }
  };
  const results: Result[] = [];
  const inFlight = sweep.takesPassphrases ? maxPassphrasesInFlight : maxInFlight;
  for await (const result of mapOrdered(iterate(sweep.backups), inFlight, run)) {
    if (result !== null) results.push(result);
  }
  signal.throwIfAborted();
  return results;
}

async function* iterate<Item>(items: readonly Item[]): AsyncGenerator<Item> {
  yield* items;
}

/** Whether a failure says something of one backup, so that the others can go on; otherwise the store itself failed. */
export function isOfOneBackup(error: unknown): error is BackupError {
  return error instanceof BackupError && ['key', 'integrity', 'conflict', 'config'].includes(error.kind);
}

/**
 * The failure of a sweep: `partial` when some of `total` backups have problems, and otherwise what is wrong with all of
 * them; `null` when nothing is. `what` says what could not be done: `cannot be opened`.
 */
export function toSweepFailure(problems: readonly BackupError[], total: number, what: string): BackupError | null {
  const [first] = problems;
  if (first === undefined) return null;
  if (total === 1) return first;
  const worst = problems.find(({ kind }) => kind === 'integrity') ?? first;
  const kind = problems.length === total ? worst.kind : 'partial';
  const message = `${problems.length} of ${total} backups ${what}: ${worst.message}`;
  return new BackupError(kind, message, { hint: worst.hint, cause: worst });
}
