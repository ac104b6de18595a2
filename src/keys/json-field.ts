import { BackupError } from '../core/backup-error.ts';
import { Secret } from '../core/secret.ts';

/**
 * The string in a field of a secret that is a JSON object, as bytes; `secret` is wiped. Numbers and booleans are taken as
 * their JSON text. Fails with `key`, naming the reference `name` and the fields there are, never a value.
 */
export function selectJsonField(secret: Secret, field: string, name: string): Secret {
  using whole = secret;
  const object = parseObject(whole, name);
  if (!Object.hasOwn(object, field)) {
    const fields = Object.keys(object).toSorted().join(', ') || 'none';
    throw new BackupError('key', `secret ${name} has no field "${field}"; its fields: ${fields}`);
  }
  const value = object[field];
  if (typeof value === 'string') return Secret.fromText(value);
  if (typeof value === 'number' || typeof value === 'boolean') return Secret.fromText(String(value));
  throw new BackupError('key', `field "${field}" of secret ${name} is not a string`);
}

function parseObject(secret: Secret, name: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(secret.revealText());
  } catch {
    // The parser's own error quotes the text.
    throw new BackupError('key', `secret ${name} is not JSON, so it has no fields`);
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  throw new BackupError('key', `secret ${name} is not a JSON object, so it has no fields`);
}
