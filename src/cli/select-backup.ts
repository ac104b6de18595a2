import type { BackupSelector } from '../catalog/catalog.ts';
import { BackupError } from '../core/backup-error.ts';
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

function parseInstant(text: string): Date {
  const instant = new Date(text);
  if (!/^\d{4}-\d{2}-\d{2}/.test(text) || Number.isNaN(instant.getTime())) {
    throw new BackupError('usage', `"${text}" is not a time`, { hint: 'Write it as 2026-11-23T22:00:00Z.' });
  }
  return instant;
}
