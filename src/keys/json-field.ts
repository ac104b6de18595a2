import { BackupError } from '../core/backup-error.ts';
import { findMembers } from '../core/json-members.ts';
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

export interface FieldChange {
  readonly field: string;
  readonly value: string;
  /** The reference, for messages. */
  readonly name: string;
}

/**
 * A secret that is a JSON object, with a string in one of its fields; all the rest stays letter for letter. Fails with
 * `key` as `selectJsonField` when it is no JSON object. The new secret is the caller's; `secret` stays its owner's.
 */
export function setJsonField(secret: Secret, { field, value, name }: FieldChange): Secret {
  parseObject(secret, name);
  const text = secret.revealText();
  const members = findMembers(text);
  const member = members.findLast((found) => found.name === field);
  if (member !== undefined) {
    return Secret.fromText(text.slice(0, member.start) + JSON.stringify(value) + text.slice(member.end));
  }
  const end = members.at(-1)?.end ?? text.indexOf('{') + 1;
  const added = `${members.length === 0 ? '' : ','}${JSON.stringify(field)}:${JSON.stringify(value)}`;
  return Secret.fromText(text.slice(0, end) + added + text.slice(end));
}

/** The names of the fields of a secret that is a JSON object. Fails with `key` as `selectJsonField` when it is none. */
export function listJsonFields(secret: Secret, name: string): string[] {
  return Object.keys(parseObject(secret, name));
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
