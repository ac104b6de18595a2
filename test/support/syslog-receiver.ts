import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type ListenOptions } from 'node:net';
import { createInterface } from 'node:readline';

/** A message as RFC 5424 has it. */
export interface SyslogMessage {
  readonly facility: number;
  readonly severity: number;
  readonly timestamp: string;
  readonly hostname: string;
  readonly appName: string;
  readonly procId: string;
  readonly msgId: string;
  readonly structuredData: string;
  readonly text: string;
}

export interface SyslogReceiver extends AsyncDisposable {
  readonly port: number;
  readonly messages: SyslogMessage[];
}

/** The grammar of RFC 5424, section 6; anything else is an error. */
const grammar =
  /^<(?<pri>0|[1-9]\d{0,2})>1 (?<timestamp>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)) (?<hostname>[!-~]{1,255}) (?<appName>[!-~]{1,48}) (?<procId>[!-~]{1,128}) (?<msgId>[!-~]{1,32}) (?<structuredData>-|(?:\[[^\]]*\])+)(?: (?<text>.*))?$/s;

export function parseSyslogMessage(bytes: Uint8Array): SyslogMessage {
  const { pri, timestamp, hostname, appName, procId, msgId, structuredData, text } =
    grammar.exec(new TextDecoder('utf-8', { fatal: true }).decode(bytes))?.groups ?? {};
  if (pri === undefined || Number(pri) > 191) throw new Error(`not RFC 5424: ${Buffer.from(bytes).toString()}`);
  const header = { timestamp, hostname, appName, procId, msgId, structuredData, text } as Omit<
    SyslogMessage,
    'facility' | 'severity'
  >;
  return { facility: Math.floor(Number(pri) / 8), severity: Number(pri) % 8, ...header };
}

export async function receiveUdp(): Promise<SyslogReceiver> {
  const messages: SyslogMessage[] = [];
  const socket = createSocket('udp4', (bytes) => messages.push(parseSyslogMessage(bytes)));
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return {
    port: socket.address().port,
    messages,
    [Symbol.asyncDispose]: async () => await new Promise<void>((resolve) => socket.close(resolve)),
  };
}

/** Octet counting (RFC 6587, section 3.4.1): the length in decimal, a space, the message. */
export async function receiveTcp(): Promise<SyslogReceiver> {
  return await receiveStream({ port: 0, host: '127.0.0.1' }, (bytes) => {
    const messages: Buffer[] = [];
    for (let rest = bytes; rest.length > 0;) {
      const [counted = '', digits = ''] = /^([1-9]\d*) /.exec(rest.subarray(0, 12).toString('latin1')) ?? [];
      const end = counted.length + Number(digits);
      if (counted === '' || end > rest.length) throw new Error('not counted octets');
      messages.push(rest.subarray(counted.length, end));
      rest = rest.subarray(end);
    }
    return messages;
  });
}

/** A stream socket, one message per line. */
export async function receiveUnixStream(path: string): Promise<SyslogReceiver> {
  return await receiveStream({ path }, (bytes) => {
    const lines = bytes.toString().split('\n');
    if (lines.pop() !== '') throw new Error('last line has no end');
    return lines.map((line) => Buffer.from(line));
  });
}

async function receiveStream(where: ListenOptions, split: (bytes: Buffer) => Buffer[]): Promise<SyslogReceiver> {
  const messages: SyslogMessage[] = [];
  const server = createServer((socket) => {
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('end', () => messages.push(...split(Buffer.concat(chunks)).map(parseSyslogMessage)));
  });
  server.listen(where);
  await once(server, 'listening');
  const address = server.address();
  return {
    port: typeof address === 'object' ? (address?.port ?? 0) : 0,
    messages,
    [Symbol.asyncDispose]: async () => await new Promise<void>((resolve) => void server.close(() => resolve())),
  };
}

const datagramServer = `
import base64, os, socket, sys
server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
server.bind(sys.argv[1])
print("ready", flush=True)
while True:
    print(base64.b64encode(server.recv(1 << 20)).decode(), flush=True)
`;

/** A datagram socket, as /dev/log is; Node has none, so Python listens. */
export async function receiveUnixDatagrams(path: string): Promise<SyslogReceiver> {
  const server = spawn('python3', ['-c', datagramServer, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  const messages: SyslogMessage[] = [];
  const lines = createInterface({ input: server.stdout });
  await once(lines, 'line');
  lines.on('line', (line) => messages.push(parseSyslogMessage(Buffer.from(line, 'base64'))));
  return {
    port: 0,
    messages,
    [Symbol.asyncDispose]: async () => {
      server.kill();
      await once(server, 'close');
    },
  };
}
