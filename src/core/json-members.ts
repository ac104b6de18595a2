import { BackupError } from './backup-error.ts';

/** A member of a JSON object: its name, and where its value stands in the text. */
export interface JsonMember {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

/**
 * The members of the JSON object that is all of `text`, so that one value can be replaced and the rest kept letter for
 * letter: parsing and writing again would round large numbers, for one. Fails with `integrity`, without repeating the text.
 */
export function findMembers(text: string): JsonMember[] {
  assertObject(text);
  const members: JsonMember[] = [];
  let position = skipSpace(text, text.indexOf('{') + 1);
  while (text[position] === '"') {
    const nameEnd = skipString(text, position);
    const name = String(JSON.parse(text.slice(position, nameEnd)));
    const start = skipSpace(text, skipSpace(text, nameEnd) + 1);
    const end = skipValue(text, start);
    members.push({ name, start, end });
    position = skipSpace(text, skipSpace(text, end) + 1);
  }
  return members;
}

/** What follows relies on valid JSON. */
function assertObject(text: string): void {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's own error quotes the text.
    throw new BackupError('integrity', 'not JSON');
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return;
  throw new BackupError('integrity', 'not a JSON object');
}

function skipSpace(text: string, from: number): number {
  let position = from;
  while (' \t\r\n'.includes(text[position] ?? 'end')) position += 1;
  return position;
}

/** From the opening quote to behind the closing one. */
function skipString(text: string, from: number): number {
  let position = from + 1;
  while (text[position] !== '"') position += text[position] === '\\' ? 2 : 1;
  return position + 1;
}

/** To behind the last character of a value. */
function skipValue(text: string, from: number): number {
  let depth = 0;
  let position = from;
  do {
    const character = text[position] ?? '';
    if (character === '"') position = skipString(text, position);
    else if ('[{'.includes(character)) {
      depth += 1;
      position += 1;
    } else if (']}'.includes(character)) {
      depth -= 1;
      position += 1;
    } else position = skipPlain(text, position);
  } while (depth > 0);
  return position;
}

/** Numbers, `true`, `false`, `null`; inside of brackets also what stands between values. */
function skipPlain(text: string, from: number): number {
  let position = from + 1;
  while (position < text.length && !'"[]{},: \t\r\n'.includes(text[position] ?? '')) position += 1;
  return position;
}
