import type { Meter } from '../pipeline/meter.ts';
import { findClientTool, type ClientTool } from '../postgres/client-tools.ts';
import type { Connection } from '../postgres/connection.ts';
import type { RestoreRequest } from '../postgres/restore-plan.ts';
import type { ServerInfo } from '../postgres/server-info.ts';
import type { TargetLock } from '../postgres/target-lock.ts';
import type { Archive } from './archive.ts';
import type { TargetMode } from './target-database.ts';
import type { UseCaseContext } from './use-case-context.ts';

/** Schema in a database that several sessions are restoring, or were restoring when we were killed. */
export const unfinishedMark = 'librelog_backup_restore_unfinished';

export interface DatabaseTarget {
  readonly connection: Connection;
  readonly mode: TargetMode;
  /** How many sessions restore side by side; decided by size and cores where that can do no harm. */
  readonly jobs?: number | undefined;
  /** Load rows frozen, which only several sessions do, and only into a database that has not got its name yet. */
  readonly isFast?: boolean | undefined;
  readonly options: RestoreRequest;
  /** Take out everything the database has, in the same transaction; otherwise it must be empty. */
  readonly clean: boolean;
  readonly binDir?: string | undefined;
  /** Fails the restore when the store gives no byte for so long. */
  readonly stallTimeoutMs: number;
  /** Called when a restore with several jobs begins with something else, e.g. `rows`. */
  readonly onPhase?: (phase: string) => void;
  /** Called once, when bytes begin to flow. */
  readonly onStart?: (meter: Meter) => void;
}

/** A restore under way. */
export interface RestoreRun {
  readonly archive: Archive;
  readonly target: DatabaseTarget;
  readonly server: ServerInfo;
  /** Keeps other restores out of the database. */
  readonly lock: TargetLock;
  readonly context: UseCaseContext;
  /** Counts what the client programs are given. */
  readonly meter: Meter;
}

export async function findPsql(
  target: DatabaseTarget,
  server: ServerInfo,
  context: UseCaseContext,
): Promise<ClientTool> {
  return await findClientTool('psql', { serverMajor: server.major, binDir: target.binDir, env: context.env });
}

/** pg_restore reads archives of its own and of older pg_dumps. */
export async function findPgRestore({ archive, target, server, context }: RestoreRun): Promise<ClientTool> {
  const serverMajor = Math.max(archive.clientMajor ?? 0, server.major);
  return await findClientTool('pg_restore', { serverMajor, binDir: target.binDir, env: context.env });
}
