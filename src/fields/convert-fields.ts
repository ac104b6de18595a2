import { BackupError } from '../core/backup-error.ts';
import type { ConvertLine } from './convert-lines.ts';
import { decryptField, encryptField, needsRotation } from './encrypt-field.ts';
import type { DecryptOptions } from './encrypt-field.ts';
import type { FieldKeyring } from './field-keyring.ts';
import { findMembers, type JsonMember } from '../core/json-members.ts';
import { isToken, tokenPrefix } from './token.ts';

export type FieldAction = 'encrypt' | 'decrypt' | 'rotate';

export interface FieldConversion {
  readonly action: FieldAction;
  readonly keyring: FieldKeyring;
  readonly options: DecryptOptions;
  /** Names of top-level fields, each once, when lines are JSON objects; the context of each is `CONTEXT.NAME`. */
  readonly fields: readonly string[];
}

export interface FieldConverter {
  readonly convert: ConvertLine;
  /** How many values were made anew; of `rotate`, those that needed it. */
  readonly changed: () => number;
}

/** What to do with each line: with the whole of it, or with some fields of the JSON object that it is. */
export function createFieldConverter(conversion: FieldConversion): FieldConverter {
  let changed = 0;
  const convertOne: ConvertValue = (value, options) => {
    const converted = convertValue(conversion, value, options);
    if (converted !== value) changed += 1;
    return converted;
  };
  const convert: ConvertLine =
    conversion.fields.length === 0
      ? (line) => assertOneLine(convertOne(line, conversion.options))
      : (line) => convertMembers(line, conversion, convertOne);
  return { convert, changed: () => changed };
}

type ConvertValue = (value: Buffer, options: DecryptOptions) => Buffer;

/** Gives `value` itself when nothing has to be done. */
function convertValue({ action, keyring }: FieldConversion, value: Buffer, options: DecryptOptions): Buffer {
  switch (action) {
    case 'encrypt':
      assertNoToken(value);
      return Buffer.from(encryptField(keyring, value, options), 'latin1');
    case 'decrypt':
      return decryptField(keyring, value.toString('latin1'), options);
    case 'rotate':
      return rotateValue(keyring, value, options);
  }
}

/** A script that is run again must not encrypt what it has encrypted already. */
function assertNoToken(value: Buffer): void {
  const start = value.subarray(0, tokenPrefix.length + 1).toString('latin1');
  if (!isToken(start)) return;
  throw new BackupError('integrity', 'the value is a token already', {
    hint: 'Use `fields rotate` for values that are encrypted.',
  });
}

/** Opens also what can stay, so that an altered token is not handed on as if it were good. */
function rotateValue(keyring: FieldKeyring, value: Buffer, options: DecryptOptions): Buffer {
  const token = value.toString('latin1');
  const plaintext = decryptField(keyring, token, options);
  try {
    return needsRotation(token, keyring) ? Buffer.from(encryptField(keyring, plaintext, options), 'latin1') : value;
  } finally {
    plaintext.fill(0);
  }
}

function assertOneLine(value: Buffer): Buffer {
  if (!value.includes(0x0a)) return value;
  throw new BackupError('integrity', 'the value has a line break, so it cannot be given as one line', {
    hint: 'Use JSON lines and --field for such values.',
  });
}

function convertMembers(line: Buffer, { fields, options }: FieldConversion, convert: ConvertValue): Buffer {
  const text = toText(line, 'the line');
  const members = findMembers(text);
  const edits = fields.map((name) => ({ name, member: findMember(members, name) }));
  let converted = '';
  let position = 0;
  for (const { name, member } of edits.toSorted((one, other) => one.member.start - other.member.start)) {
    const value: unknown = JSON.parse(text.slice(member.start, member.end));
    if (value === null) continue;
    const context = `${options.context}.${name}`;
    const result = withField(name, () => convert(toBytes(value), { ...options, context }));
    converted +=
      text.slice(position, member.start) + JSON.stringify(withField(name, () => toText(result, 'the value')));
    position = member.end;
  }
  return Buffer.from(converted + text.slice(position), 'utf8');
}

function findMember(members: readonly JsonMember[], name: string): JsonMember {
  const [member, again] = members.filter((member) => member.name === name);
  if (member === undefined) throw new BackupError('integrity', `there is no field "${name}"`);
  if (again === undefined) return member;
  throw new BackupError('integrity', `field "${name}" is there twice`);
}

function toBytes(value: unknown): Buffer {
  if (typeof value !== 'string') throw new BackupError('integrity', 'the value is neither text nor null');
  if (!value.isWellFormed()) throw new BackupError('integrity', 'the value has half a surrogate pair');
  return Buffer.from(value, 'utf8');
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function toText(bytes: Buffer, what: string): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new BackupError('integrity', `${what} is not UTF-8`);
  }
}

function withField<Result>(name: string, convert: () => Result): Result {
  try {
    return convert();
  } catch (error) {
    if (!(error instanceof BackupError)) throw error;
    throw new BackupError(error.kind, `field "${name}": ${error.message}`, { hint: error.hint, cause: error.cause });
  }
}
