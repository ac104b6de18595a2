import { BackupError } from '../core/backup-error.ts';

export type SyslogAddress =
  | { readonly transport: 'udp' | 'tcp'; readonly host: string; readonly port: number; readonly text: string }
  | { readonly transport: 'unix'; readonly path: string; readonly text: string };

/** The port of syslog over UDP (RFC 5426) and over TCP (`syslog-conn`, RFC 6587). */
const defaultPorts = { udp: 514, tcp: 601 } as const;

/** `udp://HOST[:PORT]`, `tcp://HOST[:PORT]` or `unix:PATH` (a socket). Errors: `config`. */
export function parseSyslogAddress(text: string): SyslogAddress {
  const address = parseSocket(text) ?? parseServer(text);
  if (address !== null) return address;
  throw new BackupError('config', `"${text}" is not the address of a syslog server`, {
    hint: 'Write udp://HOST:PORT, tcp://HOST:PORT or unix:/dev/log.',
  });
}

function parseSocket(text: string): SyslogAddress | null {
  const path = /^unix:(?:\/\/)?(?<path>\/[^\0]+)$/.exec(text)?.groups?.['path'];
  return path === undefined ? null : { transport: 'unix', path, text };
}

function parseServer(text: string): SyslogAddress | null {
  const pattern =
    /^(?<transport>udp|tcp):\/\/(?:\[(?<v6>[0-9A-Fa-f:.]+)\]|(?<name>[A-Za-z0-9._-]+))(?::(?<port>\d{1,5}))?$/;
  const { transport, v6, name, port } = pattern.exec(text)?.groups ?? {};
  const host = v6 ?? name;
  if ((transport !== 'udp' && transport !== 'tcp') || host === undefined) return null;
  const number = port === undefined ? defaultPorts[transport] : Number(port);
  return number >= 1 && number <= 65_535 ? { transport, host, port: number, text } : null;
}
