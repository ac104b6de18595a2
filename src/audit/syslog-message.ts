import type { SealedEntry } from './seal-entry.ts';

/** authpriv: servers keep it away from users. */
const facility = 10;
const severities = { success: 5, failure: 4 } as const;

/** PRI of RFC 5424, section 6.2.1: notice for what succeeded, warning for what failed. */
export function toPriority({ entry }: SealedEntry): number {
  return facility * 8 + severities[entry.outcome];
}

/**
 * A message of RFC 5424: the action is its MSGID, there is no structured data, and its text is the line of the log, in
 * UTF-8 without a byte order mark (MSG-ANY).
 */
export function toSyslogMessage(sealed: SealedEntry): Buffer {
  const { time, actor, action } = sealed.entry;
  const header = [`<${toPriority(sealed)}>1`, time, toName(actor.host, 255), 'librelog-backup', actor.pid, action, '-'];
  return Buffer.concat([Buffer.from(`${header.join(' ')} `), sealed.line]);
}

/** PRINTUSASCII; a nil value stands for nothing. */
function toName(text: string, maxLength: number): string {
  const name = text.replace(/[^\x21-\x7e]/g, '').slice(0, maxLength);
  return name === '' ? '-' : name;
}
