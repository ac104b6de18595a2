import { BackupError } from '../core/backup-error.ts';
import type { Connection } from './connection.ts';

/** What `target_session_attrs` looks at. */
export interface ServerState extends Readonly<Record<string, unknown>> {
  readonly isStandby: boolean;
  readonly isReadOnly: boolean;
}

export const serverStateSql =
  'SELECT pg_is_in_recovery() AS "isStandby", current_setting(\'transaction_read_only\') = \'on\' AS "isReadOnly"';

/** `null` accepts every server without asking it. */
export type ServerDemand = ((state: ServerState) => boolean) | null;

const demands: Readonly<Record<string, readonly ServerDemand[]>> = {
  any: [null],
  'read-write': [(state) => !state.isReadOnly],
  'read-only': [(state) => state.isReadOnly],
  primary: [(state) => !state.isStandby],
  standby: [(state) => state.isStandby],
  'prefer-standby': [(state) => state.isStandby, null],
};

/** What the connection demands of a server (libpq's `target_session_attrs`), the best first. */
export function serverDemands({ parameters }: Connection): readonly ServerDemand[] {
  const name = parameters.target_session_attrs ?? 'any';
  const found = Object.hasOwn(demands, name) ? demands[name] : undefined;
  if (found === undefined) throw new BackupError('config', `unknown target_session_attrs "${name}"`);
  return found;
}
