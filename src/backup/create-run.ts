import { BackupError } from '../core/backup-error.ts';
import type { Compression } from '../core/compression.ts';
import type { Meter } from '../pipeline/meter.ts';
import type { ClientTool } from '../postgres/client-tools.ts';
import type { Connection } from '../postgres/connection.ts';
import type { DumpRequest } from '../postgres/dump-plan.ts';
import type { ServerInfo } from '../postgres/server-info.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { Destinations } from './destinations.ts';
import type { RotationPolicy } from './key-age.ts';
import type { BackupEncryption, EncryptionRequest } from './open-encryption.ts';
import type { BackupPlan } from './plan-backup.ts';
import type { UseCaseContext } from './use-case-context.ts';

export interface CreateRequest {
  readonly connection: Connection;
  /** Where the backup goes; streamed once, whatever their number. */
  readonly stores: readonly ObjectStore[];
  /** Go on without a store that fails, as long as one is left; otherwise one failure is the backup's. */
  readonly allowPartial: boolean;
  /** Folder of this database in the store; its name by default. */
  readonly label?: string | undefined;
  readonly dump: DumpRequest;
  /** Streams side by side; by default as many as the size of the database and the cores of this machine suggest. */
  readonly jobs?: number | undefined;
  readonly compression: Compression;
  readonly encryption: EncryptionRequest;
  /** How old the keys may be that encrypt. */
  readonly rotation: RotationPolicy;
  /** Where to look for pg_dump instead of everywhere. */
  readonly binDir?: string | undefined;
  /** Fails the backup when pg_dump gives no byte for so long. */
  readonly stallTimeoutMs: number;
  /** Plans only: connects and decides, writes nothing. */
  readonly isDryRun: boolean;
  /** Called once, when bytes begin to flow. */
  readonly onStart?: (meter: Meter, server: ServerInfo) => void;
}

/** A backup that is being made. */
export interface CreateRun {
  readonly request: CreateRequest;
  readonly destinations: Destinations;
  /** Stores that may have something of it. */
  readonly touched: Set<ObjectStore>;
  /** Stores that have something of somebody else in its place. */
  readonly taken: Set<ObjectStore>;
  /** The very server that holds the lock. */
  readonly connection: Connection;
  readonly context: UseCaseContext;
  readonly plan: BackupPlan;
  readonly server: ServerInfo;
  /** pg_dump. */
  readonly tool: ClientTool;
  readonly encryption: BackupEncryption;
  readonly startedAt: Date;
  /** Counts what the client programs have written, of all streams. */
  readonly meter: Meter;
}

/** Runs `put`, which writes into `store` until the signal aborts, and keeps in mind what it means for the clean-up. */
export async function putInto<Result>(
  store: ObjectStore,
  { touched, taken }: CreateRun,
  { put, signal }: { readonly put: () => Promise<Result>; readonly signal?: AbortSignal },
): Promise<Result> {
  touched.add(store);
  try {
    return await put();
  } catch (error) {
    // A put that is stopped throws why: the failure of another store, maybe.
    const isOwn = error !== signal?.reason;
    if (isOwn && error instanceof BackupError && error.kind === 'conflict') taken.add(store);
    throw error;
  }
}

/** Without its lock a backup must not go on - another one may have started -, nor without its snapshot. */
export function abortOn(lost: Promise<BackupError>): AbortSignal {
  const controller = new AbortController();
  void lost.then((reason) => controller.abort(reason));
  return controller.signal;
}
