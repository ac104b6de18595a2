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
      PostgreSQL: versionOf(`${binFolder}/postgres`),
      gpg: versionOf('gpg'),
      openssl: versionOf('openssl', 'version'),
      zstd: versionOf('zstd'),
      age: versionOf('age'),
      ...optionalVersions(),
    },
  };
}

/** Tools that few machines have. */
function optionalVersions(): Record<string, string> {
  const versionArguments = { pg_back: '--version', restic: 'version', pgbackrest: 'version' };
  const installed = Object.entries(versionArguments).filter(([tool, argument]) => isInstalled(tool, argument));
  return Object.fromEntries(installed.map(([tool, argument]) => [tool, versionOf(tool, argument)]));
}

function systemName(): string {
  try {
    return /^PRETTY_NAME="(.*)"$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? process.platform;
  } catch {
    return process.platform;
  }
}

/** A missing tool is shown, not an error. */
function versionOf(program: string, argument = '--version'): string {
  const line = firstLine(program, argument);
  return line === null ? 'not installed' : (/\d+\.\d+(?:\.\d+)?/.exec(line)?.[0] ?? line);
}

function firstLine(program: string, argument: string): string | null {
  try {
    return (
      execFileSync(program, [argument], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).split('\n')[0] ?? ''
    );
  } catch {
    return null;
  }
}

/** Whether a program runs at all; `argument` is what makes it print its version. */
export function isInstalled(program: string, argument = '--version'): boolean {
  return firstLine(program, argument) !== null;
}
