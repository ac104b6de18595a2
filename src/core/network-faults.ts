/** Codes of Node's errors for a server that cannot be reached, or a connection to it that broke. */
const unreachable = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ERR_PROXY_TUNNEL',
]);

/** Whether an error code means that the network failed or the answer was not HTTP, which a repetition may cure. */
export function isNetworkFault(code: string): boolean {
  return unreachable.has(code) || code.startsWith('HPE_');
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
