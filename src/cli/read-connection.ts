import type { Connection } from '../postgres/connection.ts';
import type { CommandContext } from './context.ts';

/** Where a database is, as the options say. */
export interface DatabaseAddress {
  /** `undefined`: where PG* variables say. */
  readonly database: string | undefined;
  /** Secret reference; it counts before every other place of a password. */
  readonly password: string | undefined;
}

/** Decides where a database is, and logs what is odd about it. Errors: `config`, `key` (the password). */
export async function readConnection(
  { database, password }: DatabaseAddress,
  context: CommandContext,
): Promise<Connection> {
  const { resolveConnection, withPassword } = await import('../postgres/connection.ts');
  const connection = resolveConnection(database, context.env);
  for (const warning of connection.warnings) context.log.warn({}, warning);
  if (password === undefined) return connection;
  const { auditedRead } = await import('../backup/read-secrets.ts');
  const { readPassphrase } = await import('../keys/read-passphrase.ts');
  const use = { reference: password, purpose: 'database-password', context };
  using secret = await auditedRead(use, async () => await readPassphrase(password, context));
  return withPassword(connection, secret.revealText());
}
