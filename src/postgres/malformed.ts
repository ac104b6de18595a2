import { BackupError } from '../core/backup-error.ts';
import { isParameterName, isSecretParameter, type ParameterName } from './libpq-parameters.ts';

/**
 * A fault in a connection string. Says what is wrong but quotes nothing of the string: with one character missing, a
 * password can be taken for any other part.
 */
export function malformed(problem: string, hint?: string): BackupError {
  return new BackupError('config', `malformed connection string: ${problem}`, { hint });
}

/** `name` when libpq knows it. `previous` is the parameter before: after a password, the name may be a part of it. */
export function toParameterName(name: string, previous: string | undefined): ParameterName {
  if (isParameterName(name)) return name;
  const isQuotable = /^[a-z_]{1,40}$/i.test(name) && (previous === undefined || !isSecretParameter(previous));
  throw malformed(isQuotable ? `unknown parameter "${name}"` : 'unknown parameter');
}
