import { BackupError } from '../core/backup-error.ts';

/** How requests are authorized, and where they go. */
export interface AzureAccess {
  /** Address of the blob service, without a slash at its end. */
  readonly endpoint: string;
  readonly credential:
    | { readonly kind: 'sharedKey'; readonly accountKey: string }
    /** Query string of a shared access signature, without the question mark. */
    | { readonly kind: 'sas'; readonly token: string }
    /** Environment, workload identity, managed identity or a signed-in tool: `DefaultAzureCredential`. */
    | { readonly kind: 'identity' };
}

export interface AzureAccessRequest {
  readonly account: string;
  /** Overrides what the environment says. */
  readonly endpoint: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * Finds out how to reach an account: by AZURE_STORAGE_CONNECTION_STRING, else AZURE_STORAGE_KEY (where
 * AZURE_STORAGE_ACCOUNT, if set, must be the same account), else AZURE_STORAGE_SAS_TOKEN, else as an identity; at the
 * endpoint given, else AZURE_STORAGE_BLOB_ENDPOINT, else the connection string's, else the public cloud's. Fails with
 * `config` for what cannot be used, in a message that repeats no secret.
 */
export function findAzureAccess({ account, endpoint, env }: AzureAccessRequest): AzureAccess {
  const connection = parseConnectionString(env['AZURE_STORAGE_CONNECTION_STRING']);
  if (connection !== null) assertSameAccount(account, connection);
  const address = endpoint ?? (env['AZURE_STORAGE_BLOB_ENDPOINT'] || endpointOf(account, connection));
  const access = { endpoint: checkedEndpoint(address), credential: findCredential(account, connection, env) };
  if (access.credential.kind === 'identity' && !access.endpoint.startsWith('https:')) {
    throw new BackupError('config', 'an identity cannot be used over an endpoint without TLS', {
      hint: 'Give an endpoint that begins with https://, or an account key or shared access signature.',
    });
  }
  return access;
}

function endpointOf(account: string, connection: Connection | null): string {
  const { endpoint, protocol = 'https', endpointSuffix = 'core.windows.net' } = connection ?? {};
  return endpoint ?? `${protocol}://${account}.blob.${endpointSuffix}`;
}

interface Connection {
  readonly protocol?: string | undefined;
  readonly accountName?: string | undefined;
  readonly accountKey?: string | undefined;
  readonly sasToken?: string | undefined;
  readonly endpoint?: string | undefined;
  readonly endpointSuffix?: string | undefined;
}

function findCredential(
  account: string,
  connection: Connection | null,
  env: AzureAccessRequest['env'],
): AzureAccess['credential'] {
  if (connection !== null) {
    if (connection.accountKey !== undefined) {
      return { kind: 'sharedKey', accountKey: checkedKey(connection.accountKey, 'AccountKey') };
    }
    return { kind: 'sas', token: checkedSas(connection.sasToken ?? '', 'AZURE_STORAGE_CONNECTION_STRING') };
  }
  const key = env['AZURE_STORAGE_KEY'];
  if (key) {
    const named = env['AZURE_STORAGE_ACCOUNT'];
    if (named && named !== account) throw otherAccount(account, named, 'AZURE_STORAGE_ACCOUNT');
    return { kind: 'sharedKey', accountKey: checkedKey(key, 'AZURE_STORAGE_KEY') };
  }
  const token = env['AZURE_STORAGE_SAS_TOKEN'];
  return token ? { kind: 'sas', token: checkedSas(token, 'AZURE_STORAGE_SAS_TOKEN') } : { kind: 'identity' };
}

/** The parts of "Configure Azure Storage connection strings" (Azure documentation) that concern blobs. */
function parseConnectionString(text: string | undefined): Connection | null {
  if (!text) return null;
  const pairs = text.split(';').filter((pair) => pair.trim() !== '');
  const fields = new Map<string, string>();
  for (const pair of pairs) {
    const [, name, value] = /^\s*([A-Za-z]+)=(.*?)\s*$/.exec(pair) ?? [];
    if (name === undefined || value === undefined) throw unusable('AZURE_STORAGE_CONNECTION_STRING');
    fields.set(name.toLowerCase(), value);
  }
  const connection = {
    protocol: fields.get('defaultendpointsprotocol'),
    accountName: fields.get('accountname'),
    accountKey: fields.get('accountkey'),
    sasToken: fields.get('sharedaccesssignature'),
    endpoint: fields.get('blobendpoint'),
    endpointSuffix: fields.get('endpointsuffix'),
  };
  if (connection.accountKey === undefined && connection.sasToken === undefined) {
    throw unusable('AZURE_STORAGE_CONNECTION_STRING');
  }
  return connection;
}

/** A connection string with a signature need not name its account; then its endpoint's host does. */
function assertSameAccount(account: string, { accountName, endpoint }: Connection): void {
  const host = /^https?:\/\/([a-z0-9]{3,24})\.blob\./.exec(endpoint ?? '')?.[1];
  const named = accountName ?? host;
  if (named !== undefined && named !== account) {
    throw otherAccount(account, named, 'AZURE_STORAGE_CONNECTION_STRING');
  }
}

function otherAccount(account: string, named: string, variable: string): BackupError {
  return new BackupError('config', `the store is in account "${account}", but ${variable} is for "${named}"`, {
    hint: `Correct the address, or ${variable}.`,
  });
}

function checkedEndpoint(text: string): string {
  const url = URL.parse(text);
  const isUsable = url !== null && /^https?:$/.test(url.protocol) && url.hostname !== '' && url.hash === '';
  if (isUsable && url.username === '' && url.password === '' && url.search === '') return text.replace(/\/+$/, '');
  throw new BackupError('config', 'the Azure endpoint is not an http or https address without credentials and query', {
    hint: 'Give it as https://HOST or https://HOST:PORT/ACCOUNT.',
  });
}

function checkedKey(key: string, name: string): string {
  const trimmed = key.trim();
  if (/^(?:[A-Za-z0-9+/]{4})+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(trimmed)) return trimmed;
  throw new BackupError('config', `${name} is not an account key: it is not base64`, {
    hint: 'Copy the key from the access keys of the storage account.',
  });
}

function checkedSas(text: string, name: string): string {
  const token = text.trim().replace(/^\?/, '');
  if (new URLSearchParams(token).has('sig') && !/\s/.test(token)) return token;
  throw new BackupError('config', `${name} holds no shared access signature`, {
    hint: 'Give the query string that begins with sv= and has a sig= part.',
  });
}

function unusable(name: string): BackupError {
  return new BackupError('config', `${name} is not a connection string with an account key or signature`, {
    hint: 'Copy it whole from the access keys of the storage account.',
  });
}
