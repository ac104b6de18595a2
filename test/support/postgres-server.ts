import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chownSync,
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { diesWithUs, type Account } from './postgres-account.ts';

const run = promisify(execFile);
const startTimeoutMs = 60_000;

/** How `pg_ctl stop` calls it: `fast` ends sessions and writes a checkpoint, `immediate` is a crash. */
export type StopMode = 'fast' | 'immediate';

const stopSignals = { fast: 'SIGINT', immediate: 'SIGQUIT' } as const satisfies Record<StopMode, NodeJS.Signals>;

/** Where one server lives: everything is below `folder`, owned by `account`. */
export interface ServerPlace {
  readonly folder: string;
  readonly binFolder: string;
  readonly account: Account | null;
}

export interface InitOptions {
  readonly user: string;
  readonly password: string;
  readonly auth: 'scram-sha-256' | 'trust';
  readonly settings: Readonly<Record<string, string>>;
}

export function dataFolder(place: ServerPlace): string {
  return join(place.folder, 'data');
}

/** Makes the data folder. C collation and UTF-8: the same on every system. */
export async function initServer(place: ServerPlace, options: InitOptions): Promise<void> {
  const passwordFile = join(place.folder, 'password');
  writeFileSync(passwordFile, `${options.password}\n`, { mode: 0o600 });
  if (place.account !== null) {
    chownSync(place.folder, place.account.uid, place.account.gid);
    chownSync(passwordFile, place.account.uid, place.account.gid);
  }
  const args = ['--pgdata', dataFolder(place), '--username', options.user, '--pwfile', passwordFile];
  args.push('--auth', options.auth, '--no-locale', '--encoding', 'UTF8', '--no-sync');
  await run(join(place.binFolder, 'initdb'), args, { cwd: place.folder, ...place.account });
  rmSync(passwordFile);
  const lines = Object.entries(options.settings).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'`);
  appendFileSync(join(dataFolder(place), 'postgresql.conf'), `\n${lines.join('\n')}\n`);
}

/** One running postmaster. */
export interface RunningServer {
  readonly process: ChildProcess;
  readonly pid: number;
  readonly port: number;
}

/** Starts the server of an initialised folder on a free port of 127.0.0.1 and waits until it accepts connections. */
export async function launchServer(place: ServerPlace, port?: number): Promise<RunningServer> {
  for (let attempt = 1; ; attempt += 1) {
    const chosen = port ?? (await freePort());
    try {
      return await launchOn(place, chosen);
    } catch (error) {
      // Between finding the port and listening on it, somebody else may have taken it.
      if (!(error instanceof PortTakenError) || attempt === 5) throw error;
      await sleep(100);
    }
  }
}

class PortTakenError extends Error {}

async function launchOn(place: ServerPlace, port: number): Promise<RunningServer> {
  const log = join(place.folder, 'server.log');
  const logFile = openSync(log, 'w', 0o600);
  const settings = { port: String(port), listen_addresses: '127.0.0.1', unix_socket_directories: place.folder };
  const args = [
    '-D',
    dataFolder(place),
    ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  ];
  const [command, fullArgs] = diesWithUs(join(place.binFolder, 'postgres'), args);
  // Detached, so that Ctrl-C reaches us alone: we stop the server when we are done with it.
  const stdio = ['ignore', logFile, logFile] as const;
  const child = spawn(command, fullArgs, { cwd: place.folder, stdio: [...stdio], detached: true, ...place.account });
  closeSync(logFile);
  child.on('error', () => {}); // reported by waitUntilReady, which sees no pid
  child.unref();
  await waitUntilReady(place, child);
  if (child.pid === undefined) throw new Error('the server has no process id');
  return { process: child, pid: child.pid, port };
}

/** The last line of postmaster.pid says `ready` once connections are accepted: no login is needed to find out. */
async function waitUntilReady(place: ServerPlace, child: ChildProcess): Promise<void> {
  const deadline = Date.now() + startTimeoutMs;
  while (!isReady(place, child)) {
    if (child.pid === undefined || hasEnded(child) || Date.now() > deadline) {
      child.kill('SIGQUIT');
      throw startFailure(place);
    }
    await sleep(20);
  }
}

function isReady(place: ServerPlace, child: ChildProcess): boolean {
  const pidFile = join(dataFolder(place), 'postmaster.pid');
  if (!existsSync(pidFile)) return false;
  const lines = readFileSync(pidFile, 'utf8').split('\n');
  return lines[0] === String(child.pid) && lines[7]?.trim() === 'ready';
}

function startFailure(place: ServerPlace): Error {
  const log = readFileSync(join(place.folder, 'server.log'), 'utf8').trim();
  const message = `cannot start PostgreSQL in ${place.folder}: ${log}`;
  return /Address already in use/.test(log) ? new PortTakenError(message) : new Error(message);
}

/** Stops the server and waits for its end. */
export async function stopServer(server: RunningServer, mode: StopMode): Promise<void> {
  if (hasEnded(server.process)) return;
  const ended = once(server.process, 'exit');
  server.process.ref();
  server.process.kill(stopSignals[mode]);
  await ended;
}

export function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** The same without an event loop, for exit handlers: a server that goes down removes its postmaster.pid last. */
export function stopServerNow(place: ServerPlace, server: RunningServer): void {
  if (hasEnded(server.process)) return;
  server.process.kill('SIGQUIT');
  const pidFile = join(dataFolder(place), 'postmaster.pid');
  const clock = new Int32Array(new SharedArrayBuffer(4));
  for (let waits = 0; waits < 500 && existsSync(pidFile); waits += 1) Atomics.wait(clock, 0, 0, 10);
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await once(probe.listen(0, '127.0.0.1'), 'listening');
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no free port on 127.0.0.1');
  return address.port;
}
