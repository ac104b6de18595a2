import { setTimeout as sleep } from 'node:timers/promises';
import { childrenOf, readProcessFile } from './child-processes.ts';
import type { RunningCli } from './run-cli.ts';

/** What anybody on the machine can see of the processes that one run has started. */
export interface ProcessSamples {
  /** Arguments of every process, ours included; one line each. */
  readonly arguments: string;
  /** Environments of the children. */
  readonly childEnvironments: string;
}

/** Looks at the processes of a run again and again until it has ended. */
export async function sampleProcesses(run: RunningCli): Promise<ProcessSamples> {
  const commands = new Set<string>();
  const environments = new Set<string>();
  while (run.child.exitCode === null && run.child.signalCode === null) {
    const ours = readProcessFile(run.pid, 'cmdline');
    commands.add(ours);
    for (const pid of childrenOf(run.pid)) {
      const command = readProcessFile(pid, 'cmdline');
      commands.add(command);
      // Between fork and exec a child is still a copy of its parent.
      if (command !== ours) environments.add(readProcessFile(pid, 'environ'));
    }
    await sleep(1);
  }
  return { arguments: [...commands].join('\n'), childEnvironments: [...environments].join('\n') };
}
