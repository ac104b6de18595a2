import { createAuditLog } from '../../src/audit/audit-log.ts';
import type { UseCaseContext } from '../../src/backup/use-case-context.ts';

function ignore(): void {}

/** For tests that call a use case hundreds of times, where a process for each would take minutes. */
export function quietContext(env: NodeJS.ProcessEnv = {}): UseCaseContext {
  const log = { debug: ignore, info: ignore, warn: ignore };
  const now = () => new Date();
  const audit = createAuditLog({ file: null, sinks: [], onFailure: 'fail' }, { env, log, now });
  return { env, log, audit, signal: new AbortController().signal, now, cores: 2 };
}
