import { BackupError, describeError } from '../core/backup-error.ts';
import { errorCode } from '../core/error-code.ts';
import { hintFor } from './server-hints.ts';

interface Meaning {
  readonly what: string;
  readonly hint: string;
}

/** By SQLSTATE (manual, appendix A), by Node's system error code, or by OpenSSL's name for what is wrong. */
const meanings: Readonly<Record<string, Meaning>> = {
  '28P01': { what: 'wrong password', hint: 'Check the user and the password (PGPASSWORD or password file).' },
  '28000': {
    what: 'the server refuses this user, host or database',
    hint: 'Check the name of the user, and the lines of pg_hba.conf on the server.',
  },
  '3D000': { what: 'there is no such database', hint: 'Check the name of the database.' },
  '42501': { what: 'no right to connect', hint: 'Grant CONNECT on the database to the user.' },
  '53300': {
    what: 'the server has too many connections',
    hint: 'Try again later, or raise max_connections or the limit of the role.',
  },
  '57P03': { what: 'the server is starting up or shutting down', hint: 'Try again in a moment.' },
  ENOTFOUND: { what: 'there is no such host', hint: 'Check the name of the host.' },
  EAI_AGAIN: { what: 'the name of the host cannot be looked up', hint: 'Check the name of the host, and DNS.' },
  ECONNREFUSED: {
    what: 'nothing listens there',
    hint: 'Check host and port, and that the server runs and listens on that address.',
  },
  ENOENT: {
    what: 'there is no such socket',
    hint: 'Check that the server runs, and the folder of its Unix socket (host or PGHOST).',
  },
  EACCES: { what: 'no right to use the socket', hint: 'Check the permissions of the Unix socket.' },
  ETIMEDOUT: { what: 'no answer', hint: 'Check host, port and firewalls.' },
  EHOSTUNREACH: { what: 'no route to the host', hint: 'Check host, port and firewalls.' },
  ENETUNREACH: { what: 'no route to the network', hint: 'Check host, port and firewalls.' },
  ECONNRESET: { what: 'the connection was cut', hint: 'Look into the log of the server.' },
};

const untrustedCertificate: Meaning = {
  what: 'the certificate of the server is not trusted',
  hint: 'Name the right root certificate with sslrootcert.',
};

const tlsMeanings: Readonly<Record<string, Meaning>> = {
  SELF_SIGNED_CERT_IN_CHAIN: untrustedCertificate,
  DEPTH_ZERO_SELF_SIGNED_CERT: untrustedCertificate,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: untrustedCertificate,
  UNABLE_TO_GET_ISSUER_CERT: untrustedCertificate,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: untrustedCertificate,
  CERT_SIGNATURE_FAILURE: untrustedCertificate,
  CERT_REVOKED: { what: 'the certificate of the server was revoked', hint: 'Renew the certificate of the server.' },
  CERT_HAS_EXPIRED: { what: 'the certificate of the server has expired', hint: 'Renew the certificate of the server.' },
  ERR_TLS_CERT_ALTNAME_INVALID: {
    what: 'the certificate of the server is for another host',
    hint: 'Use the host name that is in the certificate, or sslmode=verify-ca.',
  },
};

/** pg has no codes for these. */
const noTls = /does not support SSL connections/;
const timedOut = /^timeout expired$/;

/** Whether a connection without TLS, or with it, could do better: libpq's rule for `prefer` and `allow`. */
export function isAboutEncryption(error: unknown): boolean {
  const code = errorCode(error);
  if (code === '28000' || noTls.test(describeError(error))) return true;
  return Object.hasOwn(tlsMeanings, code) || code.startsWith('ERR_SSL') || code.startsWith('ERR_TLS');
}

/** Whether the next server of a list may do better: this one could not be reached or takes nobody in. */
export function isAboutReachability(error: unknown): boolean {
  const code = errorCode(error);
  return /^E[A-Z_]+$/.test(code) || code.startsWith('57P') || code === '53300' || timedOut.test(describeError(error));
}

/** The error for a connection that could not be made. `address` is without secrets. */
export function toConnectFailure(error: unknown, address: string): BackupError {
  if (error instanceof BackupError) return error;
  const { what, hint } = meaningOf(error);
  return new BackupError('postgres', `cannot connect to ${address}: ${what}`, { hint, cause: error });
}

/** The error for a statement that failed. `address` is without secrets. */
export function toQueryFailure(error: unknown, address: string): BackupError {
  const text = describeError(error);
  const message = `query failed on ${address}: ${text}${placeInRows(error)}`;
  return new BackupError('postgres', message, { hint: hintFor(text), cause: error });
}

/** Where in a COPY, without the value there, which the server quotes and which is nobody's business. */
function placeInRows(error: unknown): string {
  const { where } = error as { readonly where?: string };
  const [place] = /^COPY .*?, line \d+/.exec(where ?? '') ?? [];
  return place === undefined ? '' : ` (${place})`;
}

function meaningOf(error: unknown): { readonly what: string; readonly hint: string | undefined } {
  const code = errorCode(error);
  const text = describeError(error).replace(/\.$/, '');
  const known = Object.hasOwn(meanings, code) ? meanings[code] : tlsMeanings[code];
  // The server's own words name the user or the database.
  if (known !== undefined)
    return code.length === 5 && /\d/.test(code) ? { ...known, what: `${known.what} (${text})` } : known;
  if (noTls.test(text))
    return { what: 'the server has no TLS', hint: 'Turn on ssl on the server, or use sslmode=prefer.' };
  if (timedOut.test(text)) return { what: 'no answer in time', hint: 'Check host, port and firewalls.' };
  return { what: text === '' ? code : text, hint: undefined };
}
