/** A name as SQL writes it, whatever is in it. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A backslash makes it an escape string, whatever `standard_conforming_strings` says. */
export function quoteLiteral(text: string): string {
  const quoted = `'${text.replaceAll("'", "''").replaceAll('\\', '\\\\')}'`;
  return text.includes('\\') ? `E${quoted}` : quoted;
}

/**
 * A name in printable ASCII, so that it means the same in every client encoding: other characters by their numbers
 * (`U&"…"`), which servers since 13 translate into the encoding of the database.
 */
export function quoteIdentifierInAscii(name: string): string {
  const quoted = quoteIdentifier(name);
  if (/^[\x20-\x7e]*$/.test(quoted)) return quoted;
  const escaped = Array.from(quoted, (character) => escapeCharacter(character)).join('');
  return `U&${escaped}`;
}

function escapeCharacter(character: string): string {
  if (character === '\\') return '\\\\';
  if (/^[\x20-\x7e]$/.test(character)) return character;
  return `\\+${(character.codePointAt(0) ?? 0).toString(16).padStart(6, '0')}`;
}
