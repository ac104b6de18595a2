import type { Connection } from '../postgres/connection.ts';
import type { CommandContext } from './context.ts';

/** Decides where `database` is, and logs what is odd about it. `undefined`: where PG* variables say. */
export async function readConnection(database: string | undefined, context: CommandContext): Promise<Connection> {
  const { resolveConnection } = await import('../postgres/connection.ts');
  const connection = resolveConnection(database, context.env);
  for (const warning of connection.warnings) context.log.warn({}, warning);
  return connection;
}
