import { availableParallelism } from 'node:os';
import { BackupError } from '../core/backup-error.ts';
import type { UseCaseContext } from '../backup/use-case-context.ts';
import { openAudit, type CommandAudit, type RecordOptions } from './open-audit.ts';
import { createLogger, type LogSettings } from './output/logger.ts';
import type { Output } from './output/output.ts';

/** What a command gets from the process it runs in. */
export interface CommandContext extends UseCaseContext {
  readonly output: Output;
  readonly audit: CommandAudit;
}

/** The composition root: the only place where clock, environment, signals and streams of the process are taken. */
export async function createContext(settings: LogSettings & RecordOptions, output: Output): Promise<CommandContext> {
  const context = {
    env: process.env,
    log: await createLogger(settings),
    signal: listenToSignals(),
    now: () => new Date(),
    cores: availableParallelism(),
    output,
  };
  return { ...context, audit: await openAudit(settings, context) };
}

/** The first signal stops the work and cleans up; a second one ends the process at once, as Node does by itself. */
function listenToSignals(): AbortSignal {
  const interruption = new AbortController();
  process.once('SIGINT', () => interruption.abort(new BackupError('interrupted', 'interrupted by SIGINT')));
  process.once('SIGTERM', () => interruption.abort(new BackupError('terminated', 'ended by SIGTERM')));
  return interruption.signal;
}
