import type { ConnectionParameters, ParameterName } from './libpq-parameters.ts';
import { malformed, toParameterName } from './malformed.ts';

type Found = Partial<Record<ParameterName, string>>;

const uriPrefix = /^postgres(?:ql)?:\/\//;

export function isConnectionUri(text: string): boolean {
  return uriPrefix.test(text);
}

/**
 * The parameters of a connection URI, by libpq's grammar (manual, section "Connection URIs"):
 * `postgresql://[user[:password]@][host[:port][,…]][/database][?name=value[&…]]`, each part percent-encoded.
 * Stricter than libpq in one place: an unencoded `@` after the user information is refused, because it is nearly always
 * the rest of a password with an unencoded `@` or `/`, which would then be printed as a host or a database.
 */
export function parseConnectionUri(uri: string): ConnectionParameters {
  const rest = uri.replace(uriPrefix, '');
  const at = endOfUserInfo(rest);
  const location = at === null ? rest : rest.slice(at + 1);
  const question = location.indexOf('?');
  const address = question === -1 ? location : location.slice(0, question);
  const query = question === -1 ? '' : location.slice(question + 1);
  if (address.includes('@')) {
    throw malformed(
      '"@" outside of the user information',
      'Percent-encode the password: @ is %40, / is %2F, : is %3A.',
    );
  }
  return {
    ...(at === null ? {} : parseUserInfo(rest.slice(0, at))),
    ...parseAddress(address),
    ...parseQuery(query),
  };
}

function endOfUserInfo(rest: string): number | null {
  const end = rest.search(/[@/]/);
  return end !== -1 && rest[end] === '@' ? end : null;
}

function parseUserInfo(userInfo: string): Found {
  const colon = userInfo.indexOf(':');
  const user = decode(colon === -1 ? userInfo : userInfo.slice(0, colon));
  return {
    ...(user === '' ? {} : { user }),
    ...(colon === -1 ? {} : { password: decode(userInfo.slice(colon + 1)) }),
  };
}

function parseAddress(address: string): Found {
  const slash = address.indexOf('/');
  const hosts = (slash === -1 ? address : address.slice(0, slash)).split(',').map(parseHost);
  const database = slash === -1 ? '' : decode(address.slice(slash + 1));
  const host = hosts.map((entry) => entry.host).join(',');
  const port = hosts.map((entry) => entry.port).join(',');
  return {
    ...(host === '' ? {} : { host }),
    ...(port === '' ? {} : { port }),
    ...(database === '' ? {} : { dbname: database }),
  };
}

function parseHost(text: string): { readonly host: string; readonly port: string } {
  const match = /^(?:\[([^[\]]+)\]|([^:[\]]*))(?::(.*))?$/.exec(text);
  if (match === null) throw malformed('a host is not a name, an address or an IPv6 address in brackets');
  return { host: decode(match[1] ?? match[2] ?? ''), port: decode(match[3] ?? '') };
}

function parseQuery(query: string): Found {
  const found: Found = {};
  let previous: string | undefined;
  for (const pair of query.split('&').filter((text) => text !== '')) {
    const [key = '', value, ...more] = pair.split('=');
    if (value === undefined || more.length > 0) throw malformed('a query parameter is not of the form name=value');
    // JDBC writes ssl=true; libpq takes it for sslmode=require.
    const isJdbc = key === 'ssl' && value === 'true';
    const name = toParameterName(isJdbc ? 'sslmode' : decode(key), previous);
    found[name] = isJdbc ? 'require' : decode(value);
    previous = name;
  }
  return found;
}

function decode(text: string): string {
  let decoded: string;
  try {
    decoded = decodeURIComponent(text);
  } catch {
    throw malformed('wrong percent-encoding', 'Write a literal % as %25.');
  }
  if (decoded.includes('\0')) throw malformed('%00 is not allowed');
  return decoded;
}
