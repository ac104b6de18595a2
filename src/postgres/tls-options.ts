import { existsSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import type { ConnectionOptions, SecureVersion } from 'node:tls';
import { BackupError } from '../core/backup-error.ts';
import { isSocketFolder, type Connection, type ServerAddress } from './connection.ts';

export type Encryption = 'tls' | 'plain';

const attempts = {
  disable: ['plain'],
  allow: ['plain', 'tls'],
  prefer: ['tls', 'plain'],
  require: ['tls'],
  'verify-ca': ['tls'],
  'verify-full': ['tls'],
} as const satisfies Record<string, readonly [Encryption, Encryption?]>;

type SslMode = keyof typeof attempts;

/** Ways to connect, in the order to try: what `sslmode` means to libpq (manual, "SSL Support"). Unix sockets have no TLS. */
export function encryptionAttempts(connection: Connection, server: ServerAddress): readonly [Encryption, Encryption?] {
  return isSocketFolder(server.host) ? ['plain'] : attempts[sslMode(connection)];
}

/**
 * TLS as libpq would do it: with `verify-ca`, `verify-full`, or a root certificate in its place
 * (`~/.postgresql/root.crt`), the chain is verified, with `verify-full` the host name too; otherwise encryption only.
 * Fails with `config` when a file is missing.
 */
export function toTlsOptions(connection: Connection, server: ServerAddress, home: string): ConnectionOptions {
  const { parameters } = connection;
  const mode = sslMode(connection);
  const authorities = readAuthorities(connection, home);
  const demandsChain = mode === 'verify-ca' || mode === 'verify-full';
  if (demandsChain && authorities === null) {
    throw new BackupError('config', `sslmode=${mode} needs a root certificate`, {
      hint: 'Name it with sslrootcert, or use sslrootcert=system.',
    });
  }
  return {
    rejectUnauthorized: authorities !== null,
    ...(authorities !== null && authorities !== 'system' && { ca: authorities }),
    ...(mode !== 'verify-full' && authorities !== 'system' && { checkServerIdentity: () => undefined }),
    ...clientCertificate(connection, home),
    ...revocationList(connection, home),
    ...(isIP(server.host) === 0 && { servername: server.host }),
    minVersion: toSecureVersion(parameters.ssl_min_protocol_version) ?? 'TLSv1.2',
    ...optional('maxVersion', toSecureVersion(parameters.ssl_max_protocol_version)),
  };
}

function sslMode({ parameters }: Connection): SslMode {
  // Anything weaker than full verification makes no sense with the authorities that all the world uses.
  const mode = parameters.sslmode ?? (parameters.sslrootcert === 'system' ? 'verify-full' : 'prefer');
  if (!Object.hasOwn(attempts, mode)) throw new BackupError('config', `unknown sslmode "${mode}"`);
  return mode as SslMode;
}

/** `null`: none, so nothing is verified. */
function readAuthorities({ parameters }: Connection, home: string): Buffer | 'system' | null {
  if (parameters.sslrootcert === 'system') return 'system';
  return readTlsFile(parameters.sslrootcert, join(home, '.postgresql/root.crt'));
}

function clientCertificate(connection: Connection, home: string): ConnectionOptions {
  const { parameters, secrets } = connection;
  if (parameters.sslcertmode === 'disable') return {};
  const cert = readTlsFile(parameters.sslcert, join(home, '.postgresql/postgresql.crt'));
  if (cert === null) return {};
  const key = readTlsFile(parameters.sslkey, join(home, '.postgresql/postgresql.key'));
  return { cert, ...optional('key', key ?? undefined), ...optional('passphrase', secrets.sslpassword?.revealText()) };
}

function revocationList({ parameters }: Connection, home: string): ConnectionOptions {
  const crl = readTlsFile(parameters.sslcrl, join(home, '.postgresql/root.crl'));
  return crl === null ? {} : { crl };
}

/** A file that was named must be there; the default one may be missing. */
function readTlsFile(named: string | undefined, usual: string): Buffer | null {
  if (named === undefined && !existsSync(usual)) return null;
  const path = named ?? usual;
  try {
    return readFileSync(path);
  } catch (error) {
    throw new BackupError('config', `cannot read TLS file "${path}"`, { cause: error });
  }
}

function toSecureVersion(text: string | undefined): SecureVersion | undefined {
  if (text === undefined) return undefined;
  const known: readonly SecureVersion[] = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'];
  const version = known.find((version) => version.toLowerCase() === text.toLowerCase());
  if (version === undefined) throw new BackupError('config', `unknown TLS version "${text}"`);
  return version;
}

function optional<Name extends string, Value>(name: Name, value: Value | undefined): { [K in Name]?: Value } {
  return value === undefined ? {} : ({ [name]: value } as { [K in Name]?: Value });
}
