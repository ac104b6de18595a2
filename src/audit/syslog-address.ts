import { BackupError } from '../core/backup-error.ts';

export type SyslogAddress =
  | { readonly transport: 'udp' | 'tcp'; readonly host: string; readonly port: number; readonly text: string }
  | { readonly transport: 'unix'; readonly path: string; readonly text: string };

/** The port of syslog over UDP (RFC 5426) and over TCP (`syslog-conn`, RFC 6587). */
const defaultPorts = { udp: 514, tcp: 601 } as const;

/** `udp://HOST[:PORT]`, `tcp://HOST[:PORT]` or `unix:PATH` (a socket). Errors: `config`. */
export function parseSyslogAddress(text: string): SyslogAddress {
  const path = /^unix:(?:\/\/)?(?<path>\/[^\0]+)$/.exec(text)?.groups?.['path'];
  if (path !== undefined) return { transport: 'unix', path, text };
  const transport = /^(?<transport>udp|tcp):\/\//.exec(text)?.groups?.['transport'] as 'udp' | 'tcp' | undefined;
  // With a scheme that the URL standard knows, a port of its own would be left out.
  const url = transport === undefined ? null : URL.parse(text);
  const hasMore =
    url !== null && (url.username !== '' || url.search !== '' || url.hash !== '' || url.pathname.length > 1);
  if (transport === undefined || url === null || url.hostname === '' || hasMore) {
    throw new BackupError('config', `"${text}" is not the address of a syslog server`, {
      hint: 'Write udp://HOST:PORT, tcp://HOST:PORT or unix:/dev/log.',
    });
  }
  const port = url.port === '' ? defaultPorts[transport] : Number(url.port);
  return { transport, host: url.hostname.replace(/^\[|\]$/g, ''), port, text };
}
