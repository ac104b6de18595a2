import type { Session } from './session.ts';

/** The server takes a message apart as a whole, into many times its size. */
const maxBytes = 1024 * 1024;
const encodingSetting = "\nSET client_encoding = 'UTF8';\n";
const stringSetting = '\nSET standard_conforming_strings = on;\n';
/** What scripts of pg_restore since August 2025 have for psql, at their beginning and their end. */
const restriction = /^((?:--.*\n|\n)*)\\restrict (\w+)\n/;

/** pg sends text in no other encoding; and the server reads a whole message before it runs what the message sets. */
const readAsWritten = "SET client_encoding = 'UTF8'; SET standard_conforming_strings = on";

/** Runs what `toMessage` gave, whatever the session has been used for and its role has set. Errors: as of `query`. */
export async function runMessage(session: Session, message: string): Promise<void> {
  await session.query(readAsWritten);
  await session.query(message);
}

/**
 * A script of pg_restore as the text of one message for `runMessage`, which the server runs in one transaction. To a
 * server far away that is one way there and back, where psql has one for each statement. `null` where the server could
 * read it in another way than psql: large, in another encoding, with other rules for strings.
 */
export function toMessage(script: Buffer): string | null {
  if (script.byteLength > maxBytes || !script.includes(encodingSetting) || !script.includes(stringSetting)) return null;
  const text = decode(script);
  if (text === null || text.includes('\0')) return null;
  const [head, before, key] = restriction.exec(text) ?? [];
  if (head === undefined) return text;
  const end = `\\unrestrict ${key}\n`;
  const tail = text.lastIndexOf(`\n${end}`);
  return tail === -1 ? null : `${before}${text.slice(head.length, tail + 1)}`;
}

function decode(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}
