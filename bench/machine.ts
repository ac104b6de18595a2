import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';

/** What the figures depend on. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly system: string;
  readonly node: string;
  readonly tools: Readonly<Record<string, string>>;
}

export function describeMachine(binFolder: string): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 2 ** 30),
    system: `${systemName()}, kernel ${release()}`,
    node: process.version,
    tools: {
      PostgreSQL: firstLine(`${binFolder}/postgres`, '--version'),
      gpg: firstLine('gpg', '--version'),
      openssl: firstLine('openssl', 'version'),
      zstd: firstLine('zstd', '--version'),
      age: firstLine('age', '--version'),
    },
  };
}

function systemName(): string {
  try {
    return /^PRETTY_NAME="(.*)"$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? process.platform;
  } catch {
    return process.platform;
  }
}

/** What a tool says of its version, or that it is not there: a missing tool is shown, not an error. */
function firstLine(program: string, argument: string): string {
  try {
    return execFileSync(program, [argument], { encoding: 'utf8' }).split('\n')[0] ?? '';
  } catch {
    return 'not installed';
  }
}

/** Whether a program runs at all; `argument` is what makes it print its version. */
export function isInstalled(program: string, argument = '--version'): boolean {
  return firstLine(program, argument) !== 'not installed';
}
