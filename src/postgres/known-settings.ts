import { quoteLiteral } from './quote.ts';

/** What a role or a database may have set, and what would end a session that waits for a store or for other sessions. */
export const noTimeLimits: readonly (readonly [name: string, value: string])[] = [
  ['statement_timeout', '0'],
  ['lock_timeout', '0'],
  ['transaction_timeout', '0'],
  ['idle_session_timeout', '0'],
  ['idle_in_transaction_session_timeout', '0'],
];

/** SQL that sets, for the session, those of `settings` that the server knows. It has one row for each. */
export function setKnownSettings(settings: readonly (readonly [name: string, value: string])[]): string {
  const values = settings.map(([name, value]) => `(${quoteLiteral(name)}, ${quoteLiteral(value)})`).join(', ');
  return `SELECT pg_catalog.set_config(wanted.name, wanted.value, false) FROM (VALUES ${values}) AS wanted (name, value)
    WHERE pg_catalog.current_setting(wanted.name, true) IS NOT NULL`;
}
