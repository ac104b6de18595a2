import type { AuditAction, AuditOutcome } from './audit-actions.ts';
import type { AuditEntry } from './audit-event.ts';
import { readLines } from './read-lines.ts';
import { parseEntry, refuseNewerEntry } from './seal-entry.ts';

/** What an entry has to be; what is not given does not matter. */
export interface AuditFilter {
  readonly since?: Date | undefined;
  /** Not this instant itself. */
  readonly until?: Date | undefined;
  readonly actions?: readonly AuditAction[] | undefined;
  /** Id or label of a backup. */
  readonly backup?: string | undefined;
  readonly outcome?: AuditOutcome | undefined;
  /** Who did it, also through sudo. */
  readonly user?: string | undefined;
}

/**
 * The entries of a log that match, oldest first. Reads only: whether the log can be trusted is what `verifyAudit` says;
 * lines that are no entry are left out. Errors: as `readLines`, and `config` for entries of a newer version.
 */
export async function* readAudit(path: string, filter: AuditFilter = {}): AsyncGenerator<AuditEntry> {
  for await (const { bytes } of readLines(path)) {
    const entry = parseEntry(bytes)?.entry;
    if (entry === undefined) refuseNewerEntry(bytes);
    else if (matches(entry, filter)) yield entry;
  }
}

function matches(entry: AuditEntry, filter: AuditFilter): boolean {
  const time = Date.parse(entry.time);
  const { since, until, actions, outcome } = filter;
  return (
    (since === undefined || time >= since.getTime()) &&
    (until === undefined || time < until.getTime()) &&
    (actions === undefined || actions.includes(entry.action)) &&
    (outcome === undefined || entry.outcome === outcome) &&
    isOneOf(filter.backup, [entry.backup?.id, entry.backup?.label]) &&
    isOneOf(filter.user, [entry.actor.user, entry.actor.sudoUser])
  );
}

function isOneOf(wanted: string | undefined, found: readonly (string | undefined)[]): boolean {
  return wanted === undefined || found.includes(wanted);
}
