import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BackupError } from '../core/backup-error.ts';
import { isParameterName, type ConnectionParameters, type ParameterName } from './libpq-parameters.ts';

/** libpq's compiled-in folder varies; this is the one of Debian and Ubuntu. */
const defaultSystemFolder = '/etc/postgresql-common';

/**
 * The parameters of one connection service (manual, section "The Connection Service File"): of `PGSERVICEFILE` or
 * `~/.pg_service.conf`, else of `pg_service.conf` in `PGSYSCONFDIR`. Fails with `config`.
 */
export function readService(service: string, env: NodeJS.ProcessEnv, home: string): ConnectionParameters {
  const named = env['PGSERVICEFILE'];
  const own = named === undefined || named === '' ? join(home, '.pg_service.conf') : named;
  const shared = join(env['PGSYSCONFDIR'] ?? defaultSystemFolder, 'pg_service.conf');
  for (const path of [own, shared]) {
    const text = readIfThere(path);
    const parameters = text === null ? null : findService(text, service, path);
    if (parameters !== null) return parameters;
  }
  throw new BackupError('config', `no definition of service "${service}" in "${own}" or "${shared}"`, {
    hint: 'Name the service file with PGSERVICEFILE.',
  });
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new BackupError('config', `cannot read service file "${path}"`, { cause: error });
  }
}

/** `null`: the file has no such section. The first of several lines with the same name counts, as in libpq. */
function findService(text: string, service: string, path: string): ConnectionParameters | null {
  let found: Partial<Record<ParameterName, string>> | null = null;
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    if (line.startsWith('[')) {
      if (found !== null) return found;
      if (line === `[${service}]`) found = {};
    } else if (found !== null) {
      const [name, value] = parseLine(line, `line ${index + 1} of service file "${path}"`);
      found[name] ??= value;
    }
  }
  return found;
}

function parseLine(line: string, place: string): [ParameterName, string] {
  const equals = line.indexOf('=');
  const name = line.slice(0, Math.max(equals, 0));
  if (name === 'service') throw new BackupError('config', `${place} names another service: services do not nest`);
  if (!isParameterName(name)) throw new BackupError('config', `${place} is not a connection parameter`);
  return [name, line.slice(equals + 1)];
}
