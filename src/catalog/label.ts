/**
 * The folder name of a database in the store: its name, with every byte that some store or shell treats specially
 * written as `~` and two hex digits. Different names never share a label. A leading `_` is reserved for `_globals`,
 * a leading dot hides folders.
 */
export function toLabel(databaseName: string): string {
  return Array.from(Buffer.from(databaseName, 'utf8'), encodeByte).join('');
}

function encodeByte(byte: number, index: number): string {
  const character = String.fromCharCode(byte);
  const isPlain = index === 0 ? /[A-Za-z0-9]/.test(character) : /[A-Za-z0-9._-]/.test(character);
  return isPlain ? character : `~${byte.toString(16).padStart(2, '0')}`;
}
