import type { AuditLog } from '../audit/audit-log.ts';
import type { Log } from '../core/log.ts';

/** What every use case needs from the outside; injected, so that tests choose clock, randomness and environment. */
export interface UseCaseContext {
  readonly env: NodeJS.ProcessEnv;
  readonly log: Log;
  /** Where what is done is recorded; nothing counts as done before it is. */
  readonly audit: Pick<AuditLog, 'prepare' | 'append' | 'describeHead'>;
  /** Aborts on SIGINT and SIGTERM, with the error to report as its reason. */
  readonly signal: AbortSignal;
  readonly now: () => Date;
  /** Threads for compression and decompression. */
  readonly cores: number;
}

/** Logs sentences that others found worth a warning. */
export function warnAll(context: UseCaseContext, warnings: readonly string[]): void {
  for (const warning of warnings) context.log.warn({}, warning);
}
