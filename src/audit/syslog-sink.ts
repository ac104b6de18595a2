import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { BackupError, describeError } from '../core/backup-error.ts';
import { errorCode } from '../core/error-code.ts';
import type { AuditSink } from './audit-sink.ts';
import type { SealedEntry } from './seal-entry.ts';
import type { SyslogAddress } from './syslog-address.ts';
import { toPriority, toSyslogMessage } from './syslog-message.ts';

const timeoutMs = 10_000;

/**
 * Syslog, RFC 5424: over UDP one datagram per message (RFC 5426), over TCP with octet counting (RFC 6587, 3.4.1), on a
 * stream socket one message per line, on a datagram socket by `logger` of util-linux, since Node has no such sockets.
 * Syslog confirms nothing: a message counts as delivered when the system has taken it.
 */
export function createSyslogSink(address: SyslogAddress): AuditSink {
  const name = `syslog at ${address.text}`;
  const deliver = async (entries: readonly SealedEntry[]): Promise<void> => {
    try {
      await send(address, entries);
    } catch (error) {
      throw new BackupError('storage', `cannot write to ${name}: ${describeError(error)}`, { cause: error });
    }
  };
  return { name, deliver, prepare: async () => await deliver([]) };
}

/** Without entries it gets as far as the place, which shows whether there is one; of UDP, whether the host has an address. */
async function send(address: SyslogAddress, entries: readonly SealedEntry[]): Promise<void> {
  const messages = entries.map(toSyslogMessage);
  switch (address.transport) {
    case 'udp':
      return await sendDatagrams(address, messages);
    case 'tcp':
      return await sendStream({ host: address.host, port: address.port }, messages.map(withOctetCount));
    case 'unix':
      return await sendToSocket(address.path, entries);
  }
}

function withOctetCount(message: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${message.byteLength} `), message]);
}

async function sendDatagrams(
  { host, port }: { readonly host: string; readonly port: number },
  messages: readonly Buffer[],
): Promise<void> {
  const family = host.includes(':') ? 6 : 4;
  const { address } = await lookup(host, { family });
  const socket = createSocket({ type: `udp${family}` });
  try {
    for (const message of messages) {
      await new Promise<void>((resolve, reject) => {
        socket.send(message, port, address, (error) => (error ? reject(error) : resolve()));
      });
    }
  } finally {
    socket.close();
  }
}

async function sendToSocket(path: string, entries: readonly SealedEntry[]): Promise<void> {
  try {
    await sendStream(
      { path },
      entries.map((entry) => Buffer.concat([toSyslogMessage(entry), Buffer.from('\n')])),
    );
  } catch (error) {
    // The socket is there, and takes datagrams.
    if (errorCode(error) !== 'EPROTOTYPE') throw error;
    if (entries.length === 0) await runLogger(['--version'], '');
    for (const entry of entries) await sendByLogger(path, entry);
  }
}

/** Ends with the connection: what the system has not taken by then is an error. */
async function sendStream(where: NetConnectOpts, messages: readonly Buffer[]): Promise<void> {
  const socket: Socket = connect(where);
  const closed = once(socket, 'close', { signal: AbortSignal.timeout(timeoutMs) });
  try {
    // Servers say nothing; reading lets the end of the connection be seen.
    socket.resume();
    socket.end(Buffer.concat(messages));
    await closed;
  } finally {
    socket.destroy();
  }
}

async function sendByLogger(path: string, sealed: SealedEntry): Promise<void> {
  const { action, actor } = sealed.entry;
  const args = ['--rfc5424=notq', '--socket-errors=on', `--socket=${path}`, '--size=65536'];
  const header = ['--tag=librelog-backup', `--id=${actor.pid}`, `--msgid=${action}`, `--priority=${toLevel(sealed)}`];
  await runLogger([...args, ...header], sealed.line);
}

async function runLogger(args: readonly string[], input: string | Uint8Array): Promise<void> {
  const logger = spawn('logger', args, {
    env: { PATH: process.env['PATH'] },
    stdio: ['pipe', 'ignore', 'pipe'],
    timeout: timeoutMs,
  });
  const stderr: Buffer[] = [];
  logger.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  // An early end shows in its exit code.
  logger.stdin.on('error', () => {});
  logger.stdin.end(input);
  const [code] = (await once(logger, 'close')) as [number | null];
  const said = Buffer.concat(stderr).toString('utf8').trim();
  if (code !== 0 || said !== '') throw new Error(`logger failed: ${said || `exit code ${code ?? 'none'}`}`);
}

function toLevel(sealed: SealedEntry): string {
  return toPriority(sealed) % 8 === 5 ? 'authpriv.notice' : 'authpriv.warning';
}
