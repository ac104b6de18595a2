import type { AuditSubject } from '../backup/audited.ts';
import type { BackupSelector } from '../catalog/catalog.ts';
import { BackupError } from '../core/backup-error.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { SelectOptions } from './option-groups.ts';

/** Which backup the arguments mean: an id, `latest`, or the newest one at `--at`. Errors: `usage`. */
export function toSelector(id: string | undefined, options: SelectOptions & { readonly at?: string }): BackupSelector {
  const { label, at } = options;
  if (at !== undefined) {
    if (id !== undefined && id !== 'latest') {
      throw new BackupError('usage', 'an id and --at cannot both be given', { hint: 'Leave one of them out.' });
    }
    return { by: 'time', at: parseInstant(at), label };
  }
  return id === undefined || id === 'latest' ? { by: 'latest', label } : { by: 'id', id, label };
}

/** What is known of the backup before it is found, for the audit log. */
export function toSubject(selector: BackupSelector, { url: store }: ObjectStore): AuditSubject['backup'] {
  return { ...(selector.by === 'id' && { id: selector.id }), label: selector.label, store };
}

function parseInstant(text: string): Date {
  const instant = new Date(text);
  if (!/^\d{4}-\d{2}-\d{2}/.test(text) || Number.isNaN(instant.getTime())) {
    throw new BackupError('usage', `"${text}" is not a time`, { hint: 'Write it as 2026-11-23T22:00:00Z.' });
  }
  return instant;
}
