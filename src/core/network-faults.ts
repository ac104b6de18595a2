/** Codes of Node's errors for a server that cannot be reached, or a connection to it that broke. */
const unreachable = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
  'ENETRESET',
  'EADDRNOTAVAIL',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ERR_PROXY_TUNNEL',
]);

/** What OpenSSL says when the two sides have no version, cipher or certificate in common, or one is made too weak. */
const tlsRefusal =
  /alert (handshake failure|protocol version|insufficient security|access denied|unknown ca|no application protocol)|alert [a-z ]*certificate|unrecognized name|unsupported protocol|no protocols available|no cipher|too (weak|small)|legacy/i;

/**
 * Whether an error's code and text mean that the network failed or the answer was not HTTP, which a repetition may cure.
 * A connection of TLS in which a bit has flipped breaks with a code of its own, `ERR_SSL_…` - or, while there is something
 * to be written, as in the handshake, with `EPROTO`.
 */
export function isNetworkFault(code: string, text: string): boolean {
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_')) return !isForeignToTls(text) && !tlsRefusal.test(text);
  return unreachable.has(code) || code.startsWith('HPE_');
}

/**
 * Whether an error's text means that the server does not speak TLS: the very first record is none. OpenSSL names the same
 * reason, "wrong version number", when a later one is damaged, but another of its functions.
 */
export function isForeignToTls(text: string): boolean {
  return text.includes(':tls_validate_record_header:');
}

/** Whether an error code means that the server's certificate was refused. */
export function isCertificateFault(code: string): boolean {
  return /CERT|ERR_TLS|UNABLE_TO_|SELF_SIGNED/.test(code);
}

/** The delay of a `Retry-After` header (seconds or an HTTP date, RFC 9110 section 10.2.3), if it says one. */
export function parseRetryAfterMs(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const seconds = Number(value);
  const delayMs = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(delayMs) ? Math.max(0, delayMs) : undefined;
}
