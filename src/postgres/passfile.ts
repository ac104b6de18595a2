/** One server as the password file names it. */
export interface PassfileKey {
  /** Host name, address, or folder of the socket; `localhost` for the default socket folder. */
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
}

/**
 * The password that a password file (manual, section "The Password File") gives for `key`: of the first line whose four
 * fields match, where `*` matches all and a backslash makes the next character literal. `null`: no line matches.
 */
export function findPassword(passfile: string, key: PassfileKey): string | null {
  const wanted = [key.host, String(key.port), key.database, key.user];
  for (const line of passfile.split(/\r?\n/)) {
    if (line.startsWith('#')) continue;
    const fields = splitFields(line);
    const password = fields[wanted.length];
    const matches = wanted.every((value, index) => fields[index] === '*' || unescapeField(fields[index]) === value);
    if (matches && password !== undefined) return unescapeField(password) ?? null;
  }
  return null;
}

/** A line of a password file that gives `password` wherever `fields` (`*` for any) match. */
export function formatPassfileLine(fields: readonly string[], password: string): string {
  return `${[...fields.map((field) => (field === '*' ? field : escapeField(field))), escapeField(password)].join(':')}\n`;
}

/** Splits at unescaped colons; escapes stay. */
function splitFields(line: string): string[] {
  return line.replaceAll(/\\.|:/gu, (token) => (token === ':' ? '\n' : token)).split('\n');
}

function unescapeField(field: string | undefined): string | undefined {
  return field?.replaceAll(/\\(.)/gu, '$1');
}

function escapeField(field: string): string {
  return field.replaceAll(/[\\:]/g, String.raw`\$&`);
}
