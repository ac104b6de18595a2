import { execFileSync } from 'node:child_process';

/** The system user that a server's files belong to and its processes run as. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/**
 * PostgreSQL refuses to run as root, so root's clusters belong to `postgres`, or to `nobody` where there is no such user.
 * `null`: we are not root, and everything is simply ours.
 */
export function serverAccount(): Account | null {
  if (process.getuid?.() !== 0) return null;
  const account = lookUp('postgres') ?? lookUp('nobody');
  if (account === null) throw new Error('PostgreSQL does not run as root: add a system user "postgres"');
  return account;
}

function lookUp(name: string): Account | null {
  try {
    return { uid: idOf('-u', name), gid: idOf('-g', name) };
  } catch {
    return null;
  }
}

function idOf(kind: '-u' | '-g', name: string): number {
  const id = Number(execFileSync('id', [kind, name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
  if (!Number.isInteger(id)) throw new Error(`no number for user ${name}`);
  return id;
}

/**
 * Command line that makes the kernel shut `command` down at once when this process dies in whatever way, `kill -9`
 * included; just `command` where the system cannot do that.
 */
export function diesWithUs(command: string, args: readonly string[]): [string, string[]] {
  return canTieLives() ? ['setpriv', ['--pdeathsig', 'QUIT', '--', command, ...args]] : [command, [...args]];
}

function canTieLives(): boolean {
  try {
    execFileSync('setpriv', ['--pdeathsig', 'QUIT', '--', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
