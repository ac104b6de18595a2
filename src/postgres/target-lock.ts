import { setTimeout as sleep } from 'node:timers/promises';
import { BackupError } from '../core/backup-error.ts';
import { productName } from '../core/version.ts';
import { describeConflict, isHolderSql, lockClasses, type LockKeys } from './advisory-lock.ts';
import type { Connection } from './connection.ts';
import { openSession, type Row, type Session } from './session.ts';

/** A lock that keeps two restores from working in one database at once. Dispose releases it. */
export interface TargetLock extends AsyncDisposable {
  /** The server's time when it was taken first. */
  readonly takenAt: string;
  /** Settles when another restore has it, after its session was lost: this one must stop then. Never fails. */
  readonly lost: Promise<BackupError>;
  /**
   * Makes sure that it is held: takes it again where its session was lost. Returns the server process that holds it.
   * Errors: `conflict` (another restore has it), `postgres`.
   */
  confirm(): Promise<number>;
}

const keys: LockKeys = [lockClasses.restore, 0];

/**
 * Takes the database's lock for restores, in a session of its own that does nothing else, and takes it again when that
 * session is lost. It belongs to a transaction, so that it holds through poolers, too; the server releases it when the
 * session ends, however it ends. Errors: `conflict` (another restore has it), `postgres`.
 */
export async function lockTarget(connection: Connection): Promise<TargetLock> {
  return new HeldTargetLock(await take(connection, null));
}

interface Held {
  readonly session: Session;
  readonly pid: number;
  readonly takenAt: string;
}

class HeldTargetLock implements TargetLock {
  readonly takenAt: string;
  readonly lost: Promise<BackupError>;
  readonly #lose: (reason: BackupError) => void;
  #held: Held;
  #confirming: Promise<number> | null = null;
  #isReleased = false;

  constructor(held: Held) {
    const { promise, resolve } = Promise.withResolvers<BackupError>();
    this.lost = promise;
    this.#lose = resolve;
    this.takenAt = held.takenAt;
    this.#held = held;
    void this.#watch();
  }

  async confirm(): Promise<number> {
    this.#confirming ??= this.#confirm().finally(() => (this.#confirming = null));
    return await this.#confirming;
  }

  async #confirm(): Promise<number> {
    const { session, pid } = this.#held;
    if (await answers(session)) return pid;
    await session[Symbol.asyncDispose]();
    this.#held = await take(session.connection, pid);
    void this.#watch();
    return this.#held.pid;
  }

  /** Never fails: where there is no way to the server now, `confirm` tries again when it matters. */
  async #watch(): Promise<void> {
    await this.#held.session.lost;
    if (this.#isReleased) return;
    try {
      await this.confirm();
    } catch (error) {
      if (error instanceof BackupError && error.kind === 'conflict') this.#lose(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isReleased = true;
    await this.#confirming?.catch(() => {});
    const { session } = this.#held;
    // Without a session there is nothing to release.
    await session.query('ROLLBACK').catch(() => []);
    await session[Symbol.asyncDispose]();
  }
}

/** A firewall that forgot a connection lets nothing through, not even an error. */
const answerMs = 10_000;

async function answers(session: Session): Promise<boolean> {
  const asked = session.query('SELECT').then(
    () => true,
    () => false,
  );
  return await Promise.race([asked, sleep(answerMs, false, { ref: false })]);
}

interface LockedRow extends Row {
  readonly locked: boolean;
  readonly pid: number;
  readonly now: string;
}

/** `formerPid` is the server process of a session of ours that was lost, which the server may not know yet. */
async function take(connection: Connection, formerPid: number | null): Promise<Held> {
  const session = await openSession(connection, { applicationName: productName });
  try {
    if (formerPid !== null) await endFormer(session, formerPid);
    // In such a transaction an idle session keeps nothing from being vacuumed.
    await session.query('BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY');
    const [row] = await session.query<LockedRow>(
      `SELECT pg_try_advisory_xact_lock($1, $2) AS locked, pg_backend_pid() AS pid, clock_timestamp()::text AS now`,
      keys,
    );
    if (row?.locked === true) return { session, pid: row.pid, takenAt: row.now };
    throw await describeConflict(session, keys, `another restore into database "${connection.database}"`);
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw error;
  }
}

/** How often, and how long each time, to look whether a session is gone that was ended. */
const endingAttempts = 100;
const endingMs = 100;

async function endFormer(session: Session, pid: number): Promise<void> {
  const sql = `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE ${isHolderSql} AND pid = $3`;
  for (let attempt = 1; attempt <= endingAttempts; attempt += 1) {
    if ((await session.query(sql, [...keys, pid])).length === 0) return;
    await sleep(endingMs);
  }
}
