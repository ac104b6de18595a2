import { BackupError, describeError } from '../core/backup-error.ts';
import { cancelQuery } from './cancel-query.ts';
import { describeConnection, type Connection } from './connection.ts';
import { CopyIn } from './copy-in.ts';
import { noTimeLimits, setKnownSettings } from './known-settings.ts';
import { connectClient, type ConnectedClient } from './session-client.ts';
import { isAboutEncryption, isAboutReachability, toConnectFailure, toQueryFailure } from './session-failure.ts';
import { serverDemands, serverStateSql, type ServerDemand, type ServerState } from './target-session.ts';
import { encryptionAttempts } from './tls-options.ts';

export type Row = Readonly<Record<string, unknown>>;

/** One connection to one database. Dispose ends it. */
export interface Session extends AsyncDisposable {
  /** The connection with only the server that answered, so that client programs go to the same one. */
  readonly connection: Connection;
  /** Settles, with the reason, when the connection is lost without our doing. Never fails. */
  readonly lost: Promise<BackupError>;
  /** The rows of one statement. Errors: `postgres`, with the server's error as cause; the signal's reason. */
  query<Result extends Row = Row>(sql: string, values?: readonly unknown[]): Promise<readonly Result[]>;
  /** The server's warnings since the last time they were taken. */
  takeWarnings(): readonly string[];
  /** Begins a `COPY … FROM STDIN`. No query may be sent before its end. Errors: as those of `query`, also of its methods. */
  copyIn(sql: string): Promise<RowSink>;
}

/** Where the rows of a COPY go. */
export interface RowSink {
  /** Settles when the chunk may be used for something else. */
  write(chunk: Uint8Array): Promise<void>;
  /** Ends the rows; settles when the server has them all, with how many of them it has taken. */
  end(): Promise<number>;
}

export interface OpenSessionOptions {
  /** Shown in pg_stat_activity, unless the connection itself names an application. */
  readonly applicationName: string;
  /** Ends the session at whatever point it is; what waits then fails with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** How long it may be silent before it asks the server for nothing; a minute by default. */
  readonly maxSilenceMs?: number;
}

/**
 * Connects as libpq does: the servers in order, each as `sslmode` says, until one answers that `target_session_attrs`
 * accepts. A server that answers with an error of its own (wrong password, no such database) ends the search.
 * Errors: `postgres`; `config` for parameters that only libpq could honour; the signal's reason.
 */
export async function openSession(connection: Connection, options: OpenSessionOptions): Promise<Session> {
  demandSupported(connection);
  const address = describeConnection(connection);
  let failure: unknown;
  for (const demand of serverDemands(connection)) {
    for (const server of connection.servers) {
      try {
        const session = await openOnServer({ ...connection, servers: [server] }, demand, options);
        if (session !== null) return session;
      } catch (error) {
        options.signal?.throwIfAborted();
        if (!isAboutReachability(error)) throw toConnectFailure(error, address);
        failure = error;
      }
    }
  }
  throw toConnectFailure(failure ?? noServerAccepted(connection), address);
}

/** `null`: the server is not what is wanted. */
async function openOnServer(
  connection: Connection,
  demand: ServerDemand,
  options: OpenSessionOptions,
): Promise<Session | null> {
  const session = new PgSession(connection, await connectAnyhow(connection, options), options);
  try {
    if (demand !== null && !demand(await session.state())) {
      await session[Symbol.asyncDispose]();
      return null;
    }
    await session.prepare();
    return session;
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw error;
  }
}

/** With TLS, without, or first one and then the other. */
async function connectAnyhow(connection: Connection, options: OpenSessionOptions): Promise<ConnectedClient> {
  const [server] = connection.servers;
  const [encryption, alternative] = encryptionAttempts(connection, server);
  try {
    return await connectClient({ connection, server, encryption, ...options });
  } catch (error) {
    if (alternative === undefined || !isAboutEncryption(error)) throw error;
    return await connectClient({ connection, server, encryption: alternative, ...options });
  }
}

/** What libpq alone can check must not be dropped in silence. */
function demandSupported({ parameters }: Connection): void {
  const unsupported = [
    parameters.channel_binding === 'require' && 'channel_binding=require',
    parameters.gssencmode === 'require' && 'gssencmode=require',
    parameters.require_auth !== undefined && 'require_auth',
    parameters.requirepeer !== undefined && 'requirepeer',
  ].find((name) => name !== false);
  if (unsupported === undefined) return;
  throw new BackupError('config', `connection parameter ${unsupported} is not supported`, {
    hint: 'Leave it out; sslmode=verify-full proves who the server is.',
  });
}

function noServerAccepted({ parameters }: Connection): BackupError {
  return new BackupError('postgres', `no server meets target_session_attrs=${parameters.target_session_attrs}`);
}

/** How long the server may take to say goodbye. */
const farewellMs = 1000;
/** Load balancers and firewalls forget connections that are silent for some minutes: AWS's after 350 seconds. */
const defaultMaxSilenceMs = 60_000;

class PgSession implements Session {
  readonly connection: Connection;
  readonly lost: Promise<BackupError>;
  readonly #connected: ConnectedClient;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = () => this.#end();
  #isEnding = false;
  #warnings: string[] = [];
  #queries = 0;
  #isCopying = false;
  readonly #silence: NodeJS.Timeout;
  /** What keeps the connection known on the way, while it is asked for. */
  #sign: Promise<unknown> | undefined;
  #cancelling: Promise<void> | undefined;

  constructor(connection: Connection, connected: ConnectedClient, options: OpenSessionOptions) {
    const { signal, maxSilenceMs = defaultMaxSilenceMs } = options;
    this.connection = connection;
    this.#connected = connected;
    this.#signal = signal;
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    connected.client.on('notice', ({ severity, message }) => {
      if (severity === 'WARNING') this.#warnings.push(`${severity}: ${message}`);
    });
    this.lost = this.#watch();
    this.#silence = setInterval(() => this.#giveSign(), maxSilenceMs).unref();
  }

  takeWarnings(): readonly string[] {
    return this.#warnings.splice(0);
  }

  async state(): Promise<ServerState> {
    const [state] = await this.query<ServerState>(serverStateSql);
    return state ?? { isStandby: false, isReadOnly: false };
  }

  /**
   * Takes away what the role or the database may have set: limits of time, which would end a session that only holds a
   * lock, and a search path, in which somebody could have put a function in the place of the system's.
   */
  async prepare(): Promise<void> {
    await this.query(setKnownSettings([['search_path', ''], ...noTimeLimits]));
  }

  async query<Result extends Row = Row>(sql: string, values?: readonly unknown[]): Promise<readonly Result[]> {
    return await this.#ask(async () => {
      const { client } = this.#connected;
      const result =
        values === undefined ? await client.query<Result>(sql) : await client.query<Result>(sql, [...values]);
      return result.rows;
    });
  }

  async copyIn(sql: string): Promise<RowSink> {
    const copy = new CopyIn(sql);
    await this.#ask(async () => {
      await this.#connected.client.query(copy).begin();
      this.#isCopying = true;
    });
    return {
      write: async (chunk) => await this.#ask(async () => await copy.write(chunk)),
      end: async () => {
        const rows = await this.#ask(async () => await copy.end());
        this.#isCopying = false;
        return rows;
      },
    };
  }

  async #ask<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#signal?.throwIfAborted();
    this.#queries += 1;
    try {
      await this.#sign;
      return await work();
    } catch (error) {
      this.#signal?.throwIfAborted();
      throw toQueryFailure(error, describeConnection(this.connection));
    } finally {
      this.#queries -= 1;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnding = true;
    clearInterval(this.#silence);
    const { client, socket } = this.#connected;
    const timer = setTimeout(() => socket.destroy(), farewellMs);
    await client.end().catch(() => {});
    clearTimeout(timer);
    this.#signal?.removeEventListener('abort', this.#onAbort);
    await this.#cancelling;
  }

  /** Whether it fails shows in what is asked next. */
  #giveSign(): void {
    if (this.#queries > 0 || this.#isCopying || this.#sign !== undefined) return;
    this.#sign = this.#connected.client
      .query('SELECT')
      .catch(() => {})
      .finally(() => (this.#sign = undefined));
  }

  /** At whatever point the session is. */
  #end(): void {
    clearInterval(this.#silence);
    const { client, socket } = this.#connected;
    const [server] = this.connection.servers;
    if (this.#queries > 0) this.#cancelling = cancelQuery(client, server);
    socket.destroy();
  }

  async #watch(): Promise<BackupError> {
    const { client } = this.#connected;
    let cause: unknown;
    client.on('error', (error) => (cause ??= error));
    return await new Promise<BackupError>((resolve) => {
      client.once('end', () => {
        if (this.#isEnding || this.#signal?.aborted === true) return;
        const because = cause === undefined ? '' : `: ${describeError(cause)}`;
        const message = `lost the connection to ${describeConnection(this.connection)}${because}`;
        resolve(new BackupError('postgres', message, { hint: 'Look into the log of the server.', cause }));
      });
    });
  }
}
