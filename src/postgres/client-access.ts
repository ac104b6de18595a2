import type { Connection, ServerAddress } from './connection.ts';
import { isSocketFolder } from './connection.ts';
import { formatConninfo } from './conninfo.ts';
import { formatPassfileLine } from './passfile.ts';
import { openPrivateFile, type PrivateFile } from './private-file.ts';

/** How a client program gets to the database: everything but the secrets as an argument, the secrets by private files. */
export interface ClientAccess extends Disposable {
  /** `--dbname=…`, without secrets. */
  readonly argument: string;
  readonly env: Readonly<Record<string, string>>;
  /** For the child's descriptors 3, 4, …, in this order. */
  readonly descriptors: readonly number[];
}

/** The first descriptor after stdin, stdout and stderr. */
export const firstExtraDescriptor = 3;
const secretService = 'librelog-backup';

/**
 * Passwords go through a password file of our own; other secret parameters through a service file, the only other place
 * that libpq takes them from. Dispose it when the child has ended.
 */
export function openClientAccess(connection: Connection): ClientAccess {
  const files: PrivateFile[] = [];
  const env: Record<string, string> = {};
  const hand = (variable: string, content: string) => {
    const file = openPrivateFile(content, firstExtraDescriptor + files.length);
    files.push(file);
    env[variable] = file.path;
  };
  // Also without a password: libpq must not find one elsewhere, what we decided holds.
  hand('PGPASSFILE', formatPassfile(connection.servers));
  if (Object.keys(connection.secrets).length > 0) hand('PGSERVICEFILE', formatServiceFile(connection));
  return {
    argument: `--dbname=${toConninfo(connection)}`,
    env,
    descriptors: files.flatMap(({ descriptor }) => descriptor ?? []),
    [Symbol.dispose]: () => {
      for (const file of files) file[Symbol.dispose]();
    },
  };
}

/** Every secret that the child knows, to be kept out of what it prints. */
export function secretTexts(connection: Connection): string[] {
  const passwords = connection.servers.flatMap(({ password }) => password ?? []);
  return [...passwords, ...Object.values(connection.secrets)].map((secret) => secret.revealText());
}

function toConninfo(connection: Connection): string {
  const { servers, user, database, parameters, secrets } = connection;
  const hostaddrs = servers.map(({ hostaddr }) => hostaddr ?? '');
  return formatConninfo({
    host: servers.map(({ host }) => host).join(','),
    ...(hostaddrs.some((hostaddr) => hostaddr !== '') && { hostaddr: hostaddrs.join(',') }),
    port: servers.map(({ port }) => port).join(','),
    user,
    dbname: database,
    ...parameters,
    ...(Object.keys(secrets).length > 0 && { service: secretService }),
  });
}

function formatPassfile(servers: readonly ServerAddress[]): string {
  return servers.map(formatPassfileEntry).join('');
}

function formatPassfileEntry({ host, port, password }: ServerAddress): string {
  if (password === undefined) return '';
  // libpq asks for its own default socket folder, which we cannot know, as localhost.
  const hosts = isSocketFolder(host) ? [host, 'localhost'] : [host];
  return hosts.map((name) => formatPassfileLine([name, String(port), '*', '*'], password.revealText())).join('');
}

function formatServiceFile({ secrets }: Connection): string {
  const lines = Object.entries(secrets).map(([name, secret]) => `${name}=${secret.revealText()}\n`);
  return `[${secretService}]\n${lines.join('')}`;
}
