import type { ClientTool } from './client-tools.ts';
import type { Connection } from './connection.ts';
import { createCompletionCheck } from './dump-completion.ts';
import type { DumpPlan } from './dump-plan.ts';
import { startDump, type DumpProcess, type StartDumpOptions } from './dump-process.ts';

/** Starts pg_dump. */
export function startPgDump(
  run: { readonly tool: ClientTool; readonly plan: DumpPlan; readonly connection: Connection },
  options: StartDumpOptions = {},
): DumpProcess {
  const { tool, plan, connection } = run;
  return startDump({ tool, args: plan.args, connection, check: createCompletionCheck(plan.format) }, options);
}
