/** What client programs may see of our environment: where things are and how text is written. No PG*, no keys. */
const inherited: ReadonlySet<string> = new Set([
  'PATH',
  'HOME',
  'LANG',
  'LC_CTYPE',
  'TZ',
  'TMPDIR',
  'LD_LIBRARY_PATH',
  'DYLD_LIBRARY_PATH',
  'PGLOCALEDIR',
  'KRB5CCNAME',
  'KRB5_CONFIG',
  'KRB5_CLIENT_KTNAME',
  'OPENSSL_CONF',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
]);

/** The environment of client programs. They speak English, so that what they say can be understood. */
export function clientEnvironment(env: NodeJS.ProcessEnv): Record<string, string> {
  const kept = Object.entries(env).filter(
    (entry): entry is [string, string] => inherited.has(entry[0]) && entry[1] !== undefined,
  );
  return { ...Object.fromEntries(kept), LC_MESSAGES: 'C' };
}
