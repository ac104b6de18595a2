import type { AuditEvent } from '../audit/audit-event.ts';
import { describeError, toBackupError } from '../core/backup-error.ts';
import type { UseCaseContext } from './use-case-context.ts';

/** What an operation finds out about its subject on the way: its event has it, however the operation ends. */
export interface AuditSubject {
  backup?: AuditEvent['backup'];
  key?: AuditEvent['key'];
}

export interface Audited<Result> {
  readonly action: AuditEvent['action'];
  readonly context: Pick<UseCaseContext, 'audit' | 'log' | 'now'>;
  /** Whether a result is worth an event; always by default. */
  readonly isEvent?: (result: Result) => boolean;
}

/**
 * Does `work` and records it, as a success before the result is handed on, or as a failure before the error is. Fails as
 * `work`, and, when a success cannot be recorded, as `AuditLog.append`.
 */
export async function audited<Result>(
  { action, context, isEvent = () => true }: Audited<Result>,
  work: (subject: AuditSubject) => Promise<Result>,
): Promise<Result> {
  // What could not be recorded is not begun. A key is not handed on before its event is written.
  if (action !== 'key-access') await context.audit.prepare();
  const subject: AuditSubject = {};
  const startMs = performance.now();
  const describe = () => ({ action, durationMs: Math.round(performance.now() - startMs), ...subject });
  let result: Result;
  try {
    result = await work(subject);
  } catch (error) {
    await recordFailure({ ...describe(), outcome: 'failure' }, error, context);
    throw error;
  }
  if (isEvent(result)) await context.audit.append({ ...describe(), outcome: 'success' });
  return result;
}

/** The error itself is what the operator has to hear of, even when the log cannot be written. */
async function recordFailure(
  event: AuditEvent,
  error: unknown,
  { audit, log }: Audited<unknown>['context'],
): Promise<void> {
  const { kind, message } = toBackupError(error, 'bug', 'unexpected failure');
  try {
    await audit.append({ ...event, error: { kind, message } });
  } catch (failure) {
    log.warn({ action: event.action }, `failure not audited: ${describeError(failure)}`);
  }
}
