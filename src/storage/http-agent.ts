import { readFile } from 'node:fs/promises';
import { Agent as HttpAgent, type AgentOptions } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { Socket } from 'node:net';
import { loadAuthorities } from '../core/certificate-authorities.ts';
import { assertProxies } from '../core/http-proxy.ts';

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
  return await loadAuthorities(caFile, async (path) => await readFile(path, 'utf8'));
}
