import { existsSync } from 'node:fs';
import { userInfo } from 'node:os';
import { BackupError } from '../core/backup-error.ts';
import { Secret } from '../core/secret.ts';
import { isConnectionUri, parseConnectionUri } from './connection-uri.ts';
import { parseConninfo } from './conninfo.ts';
import {
  isSecretParameter,
  readParametersFromEnvironment,
  type ConnectionParameters,
  type ParameterName,
} from './libpq-parameters.ts';
import { malformed } from './malformed.ts';
import { readPassfile } from './read-passfile.ts';
import { readService } from './service-file.ts';

/** One server that a connection may go to. */
export interface ServerAddress {
  /** Host name, address, or absolute path of the folder that holds the Unix socket. */
  readonly host: string;
  /** Address to connect to instead of looking `host` up. */
  readonly hostaddr?: string;
  readonly port: number;
  readonly password?: Secret;
}

/** A connection with everything decided that libpq decides before it connects. */
export interface Connection {
  /** In the order to try. */
  readonly servers: readonly [ServerAddress, ...ServerAddress[]];
  readonly user: string;
  readonly database: string;
  /** libpq's other parameters; no secrets, and nothing that is in the fields above. */
  readonly parameters: ConnectionParameters;
  /** Secret parameters other than the password, such as the passphrase of the TLS key. */
  readonly secrets: Readonly<Partial<Record<ParameterName, Secret>>>;
  /** What the operator should know, such as a password file that was ignored. */
  readonly warnings: readonly string[];
}

const defaultPort = 5432;

/**
 * Decides where and how to connect, as libpq does: `database` is a URI (`postgresql://…`), a key/value string, or the
 * name of a database; what it leaves open comes from the service (`service=`, `PGSERVICE`), then from libpq's variables
 * in `env`, then from libpq's defaults; a password that is still missing comes from the password file.
 * Fails with `config`, never quoting what could be a password.
 */
export function resolveConnection(database: string | undefined, env: NodeJS.ProcessEnv): Connection {
  const given = parseDatabase(database);
  const home = homeFolder(env);
  const fromEnvironment = readParametersFromEnvironment(env);
  const service = given.service ?? fromEnvironment.service;
  const fromService = service === undefined || service === '' ? {} : readService(service, env, home);
  return completeConnection({ ...fromEnvironment, ...fromService, ...given }, home);
}

/** The same servers and user, another database. Passwords stay: they belong to the user. */
export function withDatabase(connection: Connection, database: string): Connection {
  return { ...connection, database };
}

/** The same, whose sessions begin with these settings (`name=value`, without white space). */
export function withServerOptions(connection: Connection, settings: readonly string[]): Connection {
  if (settings.length === 0) return connection;
  const { options } = connection.parameters;
  const added = [...(options === undefined ? [] : [options]), ...settings.map((setting) => `-c ${setting}`)];
  return { ...connection, parameters: { ...connection.parameters, options: added.join(' ') } };
}

/** The same with this password at every server, whatever others were found. Fails with `config` as `resolveConnection`. */
export function withPassword(connection: Connection, text: string): Connection {
  const [first, ...others] = connection.servers;
  const give = (address: ServerAddress): ServerAddress => ({ ...address, password: toPassword(text) });
  return { ...connection, servers: [give(first), ...others.map(give)] };
}

/** The address without secrets, as a URI that psql accepts. */
export function describeConnection({ servers, user, database }: Connection): string {
  const name = encodeURIComponent(database);
  const userName = encodeURIComponent(user);
  const [first] = servers;
  if (isSocketFolder(first.host) && servers.length === 1) {
    return `postgresql://${userName}@/${name}?host=${first.host}&port=${first.port}`;
  }
  const hosts = servers.map(({ host, port }) => `${describeHost(host)}:${port}`);
  return `postgresql://${userName}@${hosts.join(',')}/${name}`;
}

/** Whether `host` is the folder of a Unix socket. */
export function isSocketFolder(host: string): boolean {
  return host.startsWith('/');
}

function describeHost(host: string): string {
  if (isSocketFolder(host)) return encodeURIComponent(host);
  return host.includes(':') ? `[${host}]` : host;
}

function parseDatabase(database: string | undefined): ConnectionParameters {
  if (database === undefined || database === '') return {};
  if (database.includes('\0')) throw malformed('NUL is not allowed');
  if (isConnectionUri(database)) return parseConnectionUri(database);
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(database)) {
    throw malformed('unknown scheme', 'Write postgresql://user@host:port/database.');
  }
  return database.includes('=') ? parseConninfo(database) : { dbname: database };
}

function completeConnection(all: ConnectionParameters, home: string): Connection {
  const user = all.user === undefined || all.user === '' ? systemUser() : all.user;
  const database = all.dbname === undefined || all.dbname === '' ? user : all.dbname;
  const addresses = toAddresses(all);
  const passfile = all.password === undefined || all.password === '' ? readPassfile(all.passfile, home) : null;
  const passwordFor = ({ host, port }: ServerAddress) =>
    // libpq looks the default socket folder up as localhost.
    passfile?.find({ host: host === defaultHost() ? 'localhost' : host, port, user, database }) ?? all.password;
  const withFoundPassword = (address: ServerAddress): ServerAddress => {
    const password = passwordFor(address);
    return password === undefined || password === '' ? address : { ...address, password: toPassword(password) };
  };
  const [first, ...others] = addresses;
  return {
    servers: [withFoundPassword(first), ...others.map(withFoundPassword)],
    user,
    database,
    ...splitSecrets(all),
    warnings: passfile?.warnings ?? [],
  };
}

/** A password file, which is how our children get the password, has no way to write a line break. */
function toPassword(text: string): Secret {
  if (/[\r\n\0]/.test(text)) throw new BackupError('config', 'the database password contains a line break');
  return Secret.fromText(text);
}

/** Pairs the lists of hosts, addresses and ports, of which the longest decides. */
function toAddresses(all: ConnectionParameters): [ServerAddress, ...ServerAddress[]] {
  const hosts = splitList(all.host);
  const hostaddrs = splitList(all.hostaddr);
  const ports = splitList(all.port);
  const count = Math.max(hosts.length, hostaddrs.length);
  if (hosts.length > 1 && hostaddrs.length > 1 && hosts.length !== hostaddrs.length) {
    throw malformed('as many addresses (hostaddr) as hosts are needed');
  }
  if (ports.length > 1 && ports.length !== count) throw malformed('as many ports as hosts are needed, or one for all');
  const addressAt = (index: number): ServerAddress => {
    const hostaddr = hostaddrs[index] ?? '';
    const host = hosts[index] ?? '';
    return {
      host: host === '' ? hostaddr || defaultHost() : host,
      ...(hostaddr === '' ? {} : { hostaddr }),
      port: toPort(ports.length === 1 ? ports[0] : ports[index]),
    };
  };
  const others = Array.from({ length: count - 1 }, (_, index) => addressAt(index + 1));
  return [addressAt(0), ...others];
}

function splitList(text: string | undefined): string[] {
  return (text ?? '').split(',').map((entry) => entry.trim());
}

function toPort(text: string | undefined): number {
  if (text === undefined || text === '') return defaultPort;
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > 65_535) {
    throw malformed(
      'a port is not a number from 1 to 65535',
      'Percent-encode ":" and "/" in a password (%3A and %2F).',
    );
  }
  return port;
}

function defaultHost(): string {
  return ['/var/run/postgresql', '/tmp'].find((folder) => existsSync(folder)) ?? 'localhost';
}

function splitSecrets(all: ConnectionParameters): Pick<Connection, 'parameters' | 'secrets'> {
  const settled: readonly string[] = ['host', 'hostaddr', 'port', 'user', 'dbname', 'password', 'passfile', 'service'];
  const rest = Object.entries(all).filter(([name, value]) => !settled.includes(name) && value !== '');
  const secret = rest
    .filter(([name]) => isSecretParameter(name))
    .map(([name, value]) => [name, Secret.fromText(value)]);
  return {
    parameters: Object.fromEntries(rest.filter(([name]) => !isSecretParameter(name))),
    secrets: Object.fromEntries(secret) as Connection['secrets'],
  };
}

function systemUser(): string {
  try {
    return userInfo().username;
  } catch (error) {
    throw new BackupError('config', 'no database user given, and this system user has no name', {
      hint: 'Set PGUSER, or name the user in --database.',
      cause: error,
    });
  }
}

function homeFolder(env: NodeJS.ProcessEnv): string {
  const home = env['HOME'];
  if (home !== undefined && home !== '') return home;
  try {
    return userInfo().homedir;
  } catch {
    return '/';
  }
}
