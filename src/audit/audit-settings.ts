import { homedir } from 'node:os';
import { join } from 'node:path';
import { BackupError } from '../core/backup-error.ts';
import type { Secret } from '../core/secret.ts';
import { parseSyslogAddress, type SyslogAddress } from './syslog-address.ts';

/** A place beside the file. */
export type AuditSinkSetting =
  | { readonly kind: 'stdout' }
  | { readonly kind: 'store' }
  | { readonly kind: 'syslog'; readonly address: SyslogAddress };

export interface AuditSettings {
  /** Path of the log; `null`: none, and every process starts a chain of its own. */
  readonly file: string | null;
  /** Size at which the next entry starts a new file; 16 MiB by default. */
  readonly maxFileBytes?: number;
  readonly sinks: readonly AuditSinkSetting[];
  /** For the `mac` of every entry. Stays the caller's. */
  readonly key?: Secret;
  /** What it means for the operation when its event cannot be recorded. */
  readonly onFailure: 'fail' | 'warn';
}

export const defaultMaxFileBytes = 16 * 1024 * 1024;

/** `stdout`, `store`, `syslog` (the socket /dev/log), `syslog:ADDRESS`. Errors: `config`. */
export function parseAuditSink(text: string): AuditSinkSetting {
  if (text === 'stdout' || text === 'store') return { kind: text };
  if (text === 'syslog') return { kind: 'syslog', address: parseSyslogAddress('unix:/dev/log') };
  if (text.startsWith('syslog:')) return { kind: 'syslog', address: parseSyslogAddress(text.slice('syslog:'.length)) };
  throw new BackupError('config', `audit log cannot go to "${text}"`, {
    hint: 'Write stdout, store, syslog, or syslog: and udp://HOST:PORT, tcp://HOST:PORT or unix:PATH.',
  });
}

/** `audit.jsonl` in the user's folder for the state of programs (XDG base directory specification). */
export function defaultAuditFile(env: Readonly<Record<string, string | undefined>>): string {
  const { XDG_STATE_HOME: stateHome, HOME: home } = env;
  // The specification has relative paths ignored.
  const isUsable = stateHome?.startsWith('/') === true;
  const base = isUsable ? stateHome : join(home || homedir(), '.local', 'state');
  return join(base, 'librelog-backup', 'audit.jsonl');
}
