import type { AuditHead } from '../core/audit-head.ts';
import { constants } from 'node:fs';
import { mkdir, open, rename } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { BackupError } from '../core/backup-error.ts';
import { withFileLock } from '../files/file-lock.ts';
import { syncFolder } from '../files/sync-folder.ts';
import { toAuditError } from './audit-errors.ts';
import type { TornBytes } from './audit-event.ts';
import { isThere, listRotatedFiles, rotatedPath } from './audit-files.ts';
import { readTail, type Tail } from './read-tail.ts';
import { toHead, type SealedEntry } from './seal-entry.ts';

/** Where the next entry goes. */
export interface Position {
  /** The entry before; `null` for the first of a chain. */
  readonly last: SealedEntry | null;
  readonly torn: TornBytes | null;
}

type SealEntries = (position: Position) => readonly SealedEntry[];

const newline = Buffer.from('\n');

/**
 * The log as a file and the full ones before it. Several processes may append at once. What was written before is never
 * changed: a line that a dead writer has left unfinished stays, and the next entry says what it was. Errors: as
 * `toAuditError`, `conflict` for a lock that somebody holds too long.
 */
export class AuditFile {
  readonly #path: string;
  readonly #maxBytes: number;

  constructor(path: string, { maxBytes }: { readonly maxBytes: number }) {
    this.#path = path;
    this.#maxBytes = maxBytes;
  }

  /**
   * Opens the log and its lock, and makes them where they are not there, down to a new file when the last one is full:
   * what could keep an entry out is found here, by `check` too, which gets the place of the next one.
   */
  async prepare(check: (position: Position) => void): Promise<void> {
    await this.#locked(`open audit log "${this.#path}"`, async () => {
      await using writable = await this.#openWritable();
      check(writable.position);
    });
  }

  /**
   * Writes the entries that `seal` makes for the place they get; they are on the disk when this returns. After a failure
   * none of them is in the log, or the failure was the last sync and nobody can tell.
   */
  async append(seal: SealEntries): Promise<readonly SealedEntry[]> {
    return await this.#locked(`write audit log "${this.#path}"`, async () => {
      await using writable = await this.#openWritable();
      const entries = seal(writable.position);
      const { tail } = writable;
      const lines = entries.flatMap(({ line }) => [line, newline]);
      await appendDurably(
        writable.file,
        tail.sizeBytes,
        Buffer.concat([...(tail.isTerminated ? [] : [newline]), ...lines]),
      );
      // A new name is durable when its folder is.
      if (tail.sizeBytes === 0) await syncFolder(dirname(this.#path));
      return entries;
    });
  }

  /** The last entry that is on the disk, whoever wrote it. `null` for a log that is empty or not there. */
  async readHead(): Promise<AuditHead | null> {
    const folderIsThere = await isThere(dirname(this.#path));
    if (!folderIsThere) return null;
    return await this.#locked(`read audit log "${this.#path}"`, async () => {
      const last = (await readLast(this.#path)) ?? (await this.#readLastRotated());
      return last === null ? null : toHead(last);
    });
  }

  async #locked<Result>(action: string, use: () => Promise<Result>): Promise<Result> {
    try {
      await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 });
      return await withFileLock(this.#path, use);
    } catch (error) {
      throw toAuditError(error, action);
    }
  }

  async #openWritable(): Promise<WritableLog> {
    const current = await this.#open();
    const { tail } = current;
    const isFull = tail.sizeBytes >= this.#maxBytes && tail.torn === null && tail.isTerminated;
    if (!isFull || tail.last === null) return current;
    await current[Symbol.asyncDispose]();
    await this.#rotate(tail.last);
    return await this.#open();
  }

  async #open(): Promise<WritableLog> {
    const { O_RDWR, O_APPEND, O_CREAT, O_NOFOLLOW } = constants;
    const file = await open(this.#path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600);
    try {
      const tail = await readTail(file);
      const last = tail.last ?? (await this.#readLastRotated());
      return {
        file,
        tail,
        position: { last, torn: tail.torn },
        [Symbol.asyncDispose]: async () => await file.close(),
      };
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Under the lock, so nobody can make the new name between looking and renaming. */
  async #rotate(last: SealedEntry): Promise<void> {
    const path = rotatedPath(this.#path, last.entry.sequence);
    if (await isThere(path)) {
      throw new BackupError('integrity', `cannot rotate audit log: "${path}" is there already`, {
        hint: 'Find out who made it with librelog-backup audit verify, and move it away.',
      });
    }
    await rename(this.#path, path);
    await syncFolder(dirname(path));
  }

  async #readLastRotated(): Promise<SealedEntry | null> {
    const newest = (await listRotatedFiles(this.#path)).at(-1);
    return newest === undefined ? null : await readLast(newest);
  }
}

interface WritableLog extends AsyncDisposable {
  readonly file: FileHandle;
  readonly tail: Tail;
  readonly position: Position;
}

async function readLast(path: string): Promise<SealedEntry | null> {
  if (!(await isThere(path))) return null;
  await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  return (await readTail(file)).last;
}

async function appendDurably(file: FileHandle, sizeBytes: number, bytes: Uint8Array): Promise<void> {
  try {
    await file.appendFile(bytes);
    await file.sync();
  } catch (error) {
    // What was refused must not be read as recorded. Where the file may only grow, a torn line stays.
    await file.truncate(sizeBytes).catch(() => {});
    throw error;
  }
}
