import { closeSync, fchownSync, openSync, rmSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { BackupError, describeError } from '../core/backup-error.ts';
import { errorCode } from '../core/error-code.ts';

/** What it protects is rewritten in milliseconds: a lock that is held this long is held by something that hangs. */
const patienceMs = 30_000;
const longestPauseMs = 25;
const sqliteBusy = 5;

export interface LockOwner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Runs `use` while no other process, and no other caller in this one, does so for the same path. The lock is SQLite's
 * exclusive lock on the empty file `<path>.lock`, which means a lock of the operating system, to which Node has no other
 * way: it is gone with its process, however that ends, so there is no stale lock to judge by process ids, which mean
 * nothing between containers that share a volume. The file stays, and nothing is ever written to it; it is made for
 * `owner`, where one is given. Fails with `conflict` when the lock is held for longer than 30 s, with an error of the
 * system or of SQLite when there cannot be a lock, and as `use`.
 */
export async function withFileLock<Result>(
  path: string,
  use: () => Promise<Result>,
  owner?: LockOwner,
): Promise<Result> {
  const lockPath = `${path}.lock`;
  createLockFile(lockPath, owner);
  using _lock = await acquire(lockPath);
  return await use();
}

/**
 * Only a file that is not there yet is opened here, and closed before anything else can run: closing any descriptor of
 * a file gives up all locks that the process has on it (POSIX, fcntl).
 */
function createLockFile(lockPath: string, owner: LockOwner | undefined): void {
  try {
    const descriptor = openSync(lockPath, 'wx', 0o600);
    try {
      if (owner !== undefined && owner.uid !== process.getuid?.()) fchownSync(descriptor, owner.uid, owner.gid);
    } catch (error) {
      rmSync(lockPath);
      throw error;
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    const exists = error instanceof Error && 'code' in error && error.code === 'EEXIST';
    if (!exists) throw cannotLock(lockPath, error);
  }
}

async function acquire(lockPath: string): Promise<Disposable> {
  const sqlite = await import('node:sqlite');
  const connect = () => new sqlite.DatabaseSync(lockPath, { timeout: 0 });
  const deadline = performance.now() + patienceMs;
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    const lock = tryToAcquire(lockPath, connect);
    if (lock !== null) return lock;
    if (performance.now() > deadline) throw heldTooLong(lockPath);
    await sleep(pauseMs * (0.5 + Math.random()));
  }
}

/** `null`: somebody else holds it. */
function tryToAcquire(lockPath: string, connect: () => DatabaseSync): Disposable | null {
  try {
    const database = connect();
    try {
      database.exec('BEGIN EXCLUSIVE');
    } catch (error) {
      database.close();
      throw error;
    }
    return { [Symbol.dispose]: () => database.close() };
  } catch (error) {
    if (error instanceof Error && 'errcode' in error && error.errcode === sqliteBusy) return null;
    throw cannotLock(lockPath, error);
  }
}

/** Has the `code` of the system's error. */
function cannotLock(lockPath: string, error: unknown): Error {
  const failure = new Error(`cannot lock with "${lockPath}": ${describeError(error)}`, { cause: error });
  return Object.assign(failure, { code: errorCode(error) });
}

function heldTooLong(lockPath: string): BackupError {
  return new BackupError('conflict', `"${lockPath}" is locked for more than ${patienceMs / 1000} s`, {
    hint: 'Find the process that holds the lock, with lsof or fuser, and end it.',
  });
}
