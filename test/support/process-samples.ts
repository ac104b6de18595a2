import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunningCli } from './run-cli.ts';

/** What anybody on the machine can see of the processes that one run has started. */
export interface ProcessSamples {
  /** Arguments of every process, ours included; one line each. */
  readonly arguments: string;
  /** Environments of the children. */
  readonly childEnvironments: string;
}

/** Looks at all processes of a run again and again until it has ended. */
export async function sampleProcesses(run: RunningCli): Promise<ProcessSamples> {
  const commands = new Set<string>();
  const environments = new Set<string>();
  while (run.child.exitCode === null && run.child.signalCode === null) {
    const ours = readProcessFile(run.pid, 'cmdline');
    for (const pid of processGroup(run.pid)) {
      const command = readProcessFile(pid, 'cmdline');
      commands.add(command);
      // Between fork and exec a child is still a copy of its parent.
      if (command !== ours) environments.add(readProcessFile(pid, 'environ'));
    }
    await sleep(2);
  }
  return { arguments: [...commands].join('\n'), childEnvironments: [...environments].join('\n') };
}

function processGroup(leader: number): number[] {
  const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return all.map(Number).filter((pid) => groupOf(pid) === leader);
}

function groupOf(pid: number): number {
  // The fields after the program's name: state, parent, process group.
  return Number(readProcessFile(pid, 'stat').split(') ').at(-1)?.split(' ')[2]);
}

/** Empty when the process has just gone. */
function readProcessFile(pid: number, name: 'cmdline' | 'environ' | 'stat'): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}
