import { readFile } from 'node:fs/promises';
import { Agent as HttpAgent, type AgentOptions } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { Socket } from 'node:net';
import { getCACertificates } from 'node:tls';
import { BackupError, describeError } from '../core/backup-error.ts';
import { errorCode } from './file-errors.ts';

export interface HttpAgentOptions {
  /** Where the agent's requests go: decides between HTTP and HTTPS. */
  readonly endpoint: string;
  readonly connectTimeoutMs: number;
  /** Longest silence on a connection. */
  readonly idleTimeoutMs: number;
  /** HTTPS_PROXY, HTTP_PROXY and NO_PROXY, in capitals or not, are heeded. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Authorities to trust (`readAuthorities`); Node's own by default. */
  readonly ca?: string[] | undefined;
}

/**
 * Connections that are kept alive and never silent for too long: one that does not come up, or carries nothing while a
 * request waits, ends with `ETIMEDOUT`. Fails with `config` for a proxy address that cannot be used.
 */
export function createHttpAgent(options: HttpAgentOptions): HttpAgent {
  const { endpoint, idleTimeoutMs, env, ca } = options;
  const agentOptions: AgentOptions = { keepAlive: true, maxSockets: 50, timeout: idleTimeoutMs, proxyEnv: env };
  assertProxies(env);
  const agent = endpoint.startsWith('https:')
    ? new HttpsAgent({ ...agentOptions, ...(ca !== undefined && { ca }) })
    : new HttpAgent(agentOptions);
  const connect = agent.createConnection.bind(agent);
  // A connection is returned; the one inside a proxy's tunnel comes by the callback.
  agent.createConnection = (request, callback) => {
    const socket = connect(request, (error, tunnel) => {
      endWhenSilent(tunnel, options);
      callback?.(error, tunnel);
    });
    endWhenSilent(socket, options);
    return socket;
  };
  // A server's `Keep-Alive: timeout=5` must not become the longest silence of the connection's next request.
  const reuse = agent.reuseSocket.bind(agent);
  agent.reuseSocket = (socket, request) => {
    reuse(socket, request);
    if (socket instanceof Socket) socket.setTimeout(idleTimeoutMs);
  };
  return agent;
}

function endWhenSilent(socket: unknown, { connectTimeoutMs, idleTimeoutMs }: HttpAgentOptions): void {
  if (!(socket instanceof Socket)) return;
  const giveUp = (): unknown => socket.destroy(Object.assign(new Error('no answer in time'), { code: 'ETIMEDOUT' }));
  socket.setTimeout(idleTimeoutMs, giveUp);
  if (!socket.connecting) return;
  const timer = setTimeout(giveUp, connectTimeoutMs);
  for (const event of ['connect', 'close']) socket.once(event, () => clearTimeout(timer));
}

/** The usual authorities and those of a PEM file. Fails with `config` when the file cannot be read or holds none. */
export async function readAuthorities(caFile: string | undefined): Promise<string[] | undefined> {
  if (caFile === undefined) return undefined;
  const pem = await readFile(caFile, 'utf8').catch((error: unknown) => {
    const reason = errorCode(error) === 'ENOENT' ? 'there is no such file' : describeError(error);
    throw new BackupError('config', `cannot read the certificate authorities in "${caFile}": ${reason}`, {
      hint: 'Give a PEM file that this user may read.',
      cause: error,
    });
  });
  if (!pem.includes('-----BEGIN CERTIFICATE-----')) {
    throw new BackupError('config', `"${caFile}" holds no certificate`, { hint: 'Give a file in PEM format.' });
  }
  return [...getCACertificates('default'), pem];
}

/**
 * Fails with `config` for an address of a proxy that Node would pass by in silence. It may hold a password, and is not
 * repeated.
 */
export function assertProxies(env: Readonly<Record<string, string | undefined>>): void {
  for (const name of ['http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY']) {
    const address = env[name] ?? '';
    if (address === '' || (/^https?:\/\//i.test(address) && URL.canParse(address))) continue;
    throw new BackupError('config', `${name} is not the address of an HTTP proxy`, {
      hint: 'Write it as http://HOST:PORT.',
    });
  }
}
