import type { UseCaseContext } from '../../src/backup/use-case-context.ts';

function ignore(): void {}

/** For tests that call a use case hundreds of times, where a process for each would take minutes. */
export function quietContext(env: NodeJS.ProcessEnv = {}): UseCaseContext {
  return {
    env,
    log: { debug: ignore, info: ignore, warn: ignore },
    signal: new AbortController().signal,
    now: () => new Date(),
    cores: 2,
  };
}
