import { Socket } from 'node:net';
import { homedir } from 'node:os';
import type { Client, ClientConfig } from 'pg';
import { BackupError } from '../core/backup-error.ts';
import type { Connection, ServerAddress } from './connection.ts';
import { toTlsOptions, type Encryption } from './tls-options.ts';

/** One attempt: one server, with or without TLS. */
export interface ConnectAttempt {
  readonly connection: Connection;
  readonly server: ServerAddress;
  readonly encryption: Encryption;
  readonly applicationName: string;
  readonly signal?: AbortSignal | undefined;
}

/** A connected client of `pg`, and the socket under it, which ends everything when destroyed. */
export interface ConnectedClient {
  readonly client: Client;
  readonly socket: Socket;
}

/** When the connection names no `connect_timeout`. libpq would wait for ever on a server that accepts and says nothing. */
const defaultConnectTimeoutMs = 30_000;

/** Connects once. Throws what `pg` or Node throws, or the signal's reason. */
export async function connectClient(attempt: ConnectAttempt): Promise<ConnectedClient> {
  attempt.signal?.throwIfAborted();
  const { Client } = await import('pg');
  const socket = new Socket();
  const client = new Client(toClientConfig(attempt, socket));
  // An error after the connection was made or given up reaches nobody else, and must not end the process.
  client.on('error', () => {});
  const onAbort = () => socket.destroy();
  attempt.signal?.addEventListener('abort', onAbort, { once: true });
  try {
    await client.connect();
    return { client, socket };
  } catch (error) {
    socket.destroy();
    throw attempt.signal?.aborted === true ? attempt.signal.reason : error;
  } finally {
    attempt.signal?.removeEventListener('abort', onAbort);
  }
}

function toClientConfig(
  { connection, server, encryption, applicationName }: ConnectAttempt,
  socket: Socket,
): ClientConfig {
  const { user, database, parameters } = connection;
  return {
    stream: () => socket,
    host: server.hostaddr ?? server.host,
    port: server.port,
    user,
    database,
    password: () => revealPassword(server),
    ssl: encryption === 'tls' ? toTlsOptions(connection, server, homedir()) : false,
    sslnegotiation: encryption === 'tls' && parameters.sslnegotiation === 'direct' ? 'direct' : 'postgres',
    enableChannelBinding: parameters.channel_binding !== 'disable',
    connectionTimeoutMillis: connectTimeoutMs(parameters.connect_timeout),
    keepAlive: parameters.keepalives !== '0',
    keepAliveInitialDelayMillis: Number(parameters.keepalives_idle ?? 0) * 1000,
    application_name: parameters.application_name ?? applicationName,
    options: parameters.options,
  };
}

/** Asked for only when the server wants a password. */
function revealPassword({ password }: ServerAddress): string {
  if (password !== undefined) return password.revealText();
  throw new BackupError('postgres', 'the server wants a password, and there is none', {
    hint: 'Give it by PGPASSWORD, a password file (~/.pgpass, PGPASSFILE) or a service file.',
  });
}

/** Zero or less waits for ever, one second counts as two: libpq's rules. */
function connectTimeoutMs(seconds: string | undefined): number {
  if (seconds === undefined) return defaultConnectTimeoutMs;
  const value = Number(seconds);
  if (!Number.isInteger(value)) throw new BackupError('config', `connect_timeout "${seconds}" is not a whole number`);
  return value <= 0 ? 0 : Math.max(value, 2) * 1000;
}
