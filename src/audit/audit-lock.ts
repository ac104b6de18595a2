import { closeSync, openSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { BackupError } from '../core/backup-error.ts';
import { errorCode, toAuditError } from './audit-errors.ts';

/** An append takes milliseconds, so a lock that is held this long is held by something that hangs. */
const patienceMs = 30_000;
const longestPauseMs = 25;
const sqliteBusy = 5;

/**
 * Runs `use` while no other process, and no other caller in this one, does so for the same path. The lock is SQLite's
 * exclusive lock on the empty file `<path>.lock`, which means a lock of the operating system: it is gone with its
 * process, however that ends, so there is no stale lock to judge by process ids, which mean nothing between containers
 * that share a volume. Node has no other way to a lock of the system. The file stays, and nothing is ever written to
 * it. Fails with `conflict` when the lock is held for longer than 30 s.
 */
export async function withAuditLock<Result>(path: string, use: () => Promise<Result>): Promise<Result> {
  const lockPath = `${path}.lock`;
  createLockFile(lockPath);
  using _lock = await acquire(lockPath);
  return await use();
}

/**
 * Only a file that is not there yet is opened here, and closed before anything else can run: closing any descriptor of
 * a file gives up all locks that the process has on it (POSIX, fcntl).
 */
function createLockFile(lockPath: string): void {
  try {
    closeSync(openSync(lockPath, 'wx', 0o600));
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw toAuditError(error, `lock audit log with "${lockPath}"`);
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
    throw toAuditError(error, `lock audit log with "${lockPath}"`);
  }
}

function heldTooLong(lockPath: string): BackupError {
  return new BackupError('conflict', `audit log is locked with "${lockPath}" for more than ${patienceMs / 1000} s`, {
    hint: 'Find the process that holds the lock, with lsof or fuser, and end it.',
  });
}
