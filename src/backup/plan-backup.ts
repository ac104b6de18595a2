import { createBackupId } from '../catalog/backup-id.ts';
import { objectKey } from '../catalog/catalog.ts';
import { toLabel } from '../catalog/label.ts';
import { compressionExtensions, type Compression } from '../core/compression.ts';
import { planPgDump, type DumpPlan, type DumpRequest } from '../postgres/dump-plan.ts';
import type { ServerInfo } from '../postgres/server-info.ts';

export interface PlanInput {
  readonly server: ServerInfo;
  readonly dump: DumpRequest;
  readonly compression: Compression;
  /** Suffix of encrypted objects. */
  readonly cipherExtension: string;
  readonly label?: string | undefined;
  readonly startedAt: Date;
}

/** Everything decided before the first byte flows. */
export interface BackupPlan {
  readonly id: string;
  readonly label: string;
  readonly objectName: string;
  /** Key of the object in the store. */
  readonly objectKey: string;
  readonly dump: DumpPlan;
}

/** Decides names and pg_dump's arguments; touches nothing. Errors: `usage` for arguments that would break the flow. */
export function planBackup(input: PlanInput): BackupPlan {
  const id = createBackupId(input.startedAt);
  const label = toLabel(input.label ?? input.server.database);
  const inner = input.dump.format === 'custom' ? 'archive.dump' : 'archive.sql';
  const objectName = `${inner}${compressionExtensions[input.compression.method]}.${input.cipherExtension}`;
  return {
    id,
    label,
    objectName,
    objectKey: objectKey({ label, id }, objectName),
    dump: planPgDump(input.dump),
  };
}
