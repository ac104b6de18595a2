import { createBackupId } from '../catalog/backup-id.ts';
import { toLabel } from '../catalog/label.ts';
import { BackupError } from '../core/backup-error.ts';
import { compressionExtensions, type Compression } from '../core/compression.ts';
import { planPgDump, whyOneStream, type DumpPlan, type DumpRequest } from '../postgres/dump-plan.ts';
import type { ServerInfo } from '../postgres/server-info.ts';
import { defaultJobs } from './default-jobs.ts';

export interface PlanInput {
  readonly server: ServerInfo;
  readonly dump: DumpRequest;
  readonly compression: Compression;
  /** Suffix of encrypted objects. */
  readonly cipherExtension: string;
  readonly label?: string | undefined;
  readonly jobs?: number | undefined;
  /** Of this machine. */
  readonly cores: number;
  readonly startedAt: Date;
}

/** Everything decided before the first byte flows. */
export interface BackupPlan {
  readonly id: string;
  readonly label: string;
  /** Streams side by side. One makes one archive, several make an object for each part of the database. */
  readonly jobs: number;
  /** What the names of all objects end with. */
  readonly extension: string;
  readonly dump: DumpPlan;
}

/** Decides names and pg_dump's arguments; touches nothing. Errors: `usage` for arguments that would break the flow. */
export function planBackup(input: PlanInput): BackupPlan {
  return {
    id: createBackupId(input.startedAt),
    label: toLabel(input.label ?? input.server.database),
    jobs: chooseJobs(input),
    extension: `${compressionExtensions[input.compression.method]}.${input.cipherExtension}`,
    dump: planPgDump(input.dump),
  };
}

/** Name of the one object of a backup of one stream. */
export function archiveName({ dump, extension }: BackupPlan): string {
  return `${dump.format === 'custom' ? 'archive.dump' : 'archive.sql'}${extension}`;
}

function chooseJobs({ jobs, dump, server, cores }: PlanInput): number {
  if (jobs === 1) return 1;
  const reason = whyOneStream(dump);
  if (jobs === undefined) return reason === null ? defaultJobs(server.sizeBytes, cores) : 1;
  if (reason === null) return jobs;
  throw new BackupError('usage', `this dump cannot be several streams: ${reason}`, { hint: 'Leave --jobs out.' });
}
