import type { ConnectionParameters, ParameterName } from './libpq-parameters.ts';
import { malformed, toParameterName } from './malformed.ts';

/**
 * The parameters of a key/value connection string (manual, section "Keyword/Value Connection Strings"): `name = value`
 * pairs, values optionally in single quotes, a backslash before any character that is meant literally.
 */
export function parseConninfo(text: string): ConnectionParameters {
  const found: Partial<Record<ParameterName, string>> = {};
  // Sticky: each match starts where the last one ended, so that nothing between two pairs is skipped.
  const pair = /\s*([^\s=]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?!')(?:\\.|[^\s\\])*))/suy;
  const end = text.trimEnd().length;
  let previous: string | undefined;
  while (pair.lastIndex < end) {
    const match = pair.exec(text);
    if (match === null) throw malformed('expected name=value pairs', 'Put values with spaces in single quotes.');
    const name = toParameterName(match[1] ?? '', previous);
    found[name] = (match[2] ?? match[3] ?? '').replaceAll(/\\(.)/gsu, '$1');
    previous = name;
  }
  return found;
}

/** The connection string that `parseConninfo`, and libpq, read as `parameters`. */
export function formatConninfo(parameters: ConnectionParameters): string {
  return Object.entries(parameters)
    .map(([name, value]) => `${name}='${value.replaceAll(/['\\]/g, String.raw`\$&`)}'`)
    .join(' ');
}
