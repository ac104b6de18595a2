/**
 * Every connection parameter of libpq up to PostgreSQL 18 (manual, section "Parameter Key Words") with the environment
 * variable that sets it, or `null` where there is none.
 */
const parameterVariables = {
  service: 'PGSERVICE',
  user: 'PGUSER',
  password: 'PGPASSWORD',
  passfile: 'PGPASSFILE',
  channel_binding: 'PGCHANNELBINDING',
  connect_timeout: 'PGCONNECT_TIMEOUT',
  dbname: 'PGDATABASE',
  host: 'PGHOST',
  hostaddr: 'PGHOSTADDR',
  port: 'PGPORT',
  client_encoding: 'PGCLIENTENCODING',
  options: 'PGOPTIONS',
  application_name: 'PGAPPNAME',
  fallback_application_name: null,
  keepalives: null,
  keepalives_idle: null,
  keepalives_interval: null,
  keepalives_count: null,
  tcp_user_timeout: null,
  sslmode: 'PGSSLMODE',
  sslnegotiation: 'PGSSLNEGOTIATION',
  sslcompression: 'PGSSLCOMPRESSION',
  sslcert: 'PGSSLCERT',
  sslkey: 'PGSSLKEY',
  sslcertmode: 'PGSSLCERTMODE',
  sslpassword: null,
  sslrootcert: 'PGSSLROOTCERT',
  sslcrl: 'PGSSLCRL',
  sslcrldir: 'PGSSLCRLDIR',
  sslsni: 'PGSSLSNI',
  sslkeylogfile: null,
  requirepeer: 'PGREQUIREPEER',
  require_auth: 'PGREQUIREAUTH',
  min_protocol_version: 'PGMINPROTOCOLVERSION',
  max_protocol_version: 'PGMAXPROTOCOLVERSION',
  ssl_min_protocol_version: 'PGSSLMINPROTOCOLVERSION',
  ssl_max_protocol_version: 'PGSSLMAXPROTOCOLVERSION',
  gssencmode: 'PGGSSENCMODE',
  krbsrvname: 'PGKRBSRVNAME',
  gsslib: 'PGGSSLIB',
  gssdelegation: 'PGGSSDELEGATION',
  replication: null,
  target_session_attrs: 'PGTARGETSESSIONATTRS',
  load_balance_hosts: 'PGLOADBALANCEHOSTS',
  scram_client_key: null,
  scram_server_key: null,
  oauth_issuer: null,
  oauth_client_id: null,
  oauth_client_secret: null,
  oauth_scope: null,
} as const satisfies Record<string, string | null>;

export type ParameterName = keyof typeof parameterVariables;

/** Connection parameters by libpq's names, as text. Absent and empty both mean "not given" where libpq says so. */
export type ConnectionParameters = Readonly<Partial<Record<ParameterName, string>>>;

/** Parameters whose value must not be seen: never in an argument, a message or a log. */
export const secretParameterNames = [
  'password',
  'sslpassword',
  'oauth_client_secret',
  'scram_client_key',
  'scram_server_key',
] as const satisfies readonly ParameterName[];

export function isParameterName(name: string): name is ParameterName {
  return Object.hasOwn(parameterVariables, name);
}

export function isSecretParameter(name: string): boolean {
  return secretParameterNames.some((secret) => secret === name);
}

/** What libpq's variables in `env` set. */
export function readParametersFromEnvironment(env: NodeJS.ProcessEnv): ConnectionParameters {
  const found: Partial<Record<ParameterName, string>> = {};
  for (const [name, variable] of Object.entries(parameterVariables)) {
    const value = variable === null ? undefined : env[variable];
    if (value !== undefined && isParameterName(name)) found[name] = value;
  }
  return found;
}
