import { BackupError } from '../core/backup-error.ts';

export const secretSchemes = ['env', 'file', 'exec', 'vault', 'aws-sm', 'azure-kv', 'gcp-sm'] as const;
export const wrapperSchemes = ['aws-kms', 'gcp-kms', 'azure-key', 'vault-transit'] as const;

export type SecretScheme = (typeof secretSchemes)[number];
export type WrapperScheme = (typeof wrapperSchemes)[number];

/** Where a secret is kept, or the name of a key that its service keeps; never the secret itself, so it may be printed. */
interface Reference<Scheme extends string> {
  readonly scheme: Scheme;
  /** What stands between scheme and `#` or `@`, decoded: a variable, path, command, or the name in the service. */
  readonly location: string;
  /** Field of a JSON object. */
  readonly field?: string;
  readonly version?: string;
  /** As the user wrote it, for messages. */
  readonly text: string;
}

export interface SecretReference extends Reference<SecretScheme> {
  /** Whether its source can be asked for a version. */
  readonly takesVersion: boolean;
}
export type WrapperReference = Reference<WrapperScheme>;

interface Grammar {
  /** What a location has to look like, and what to say when it does not. */
  readonly location: RegExp;
  readonly problem: string;
  /** The text after the scheme is all location: commands have `#` and `@` of their own. */
  readonly isVerbatim?: boolean;
  readonly takesField: boolean;
  readonly takesVersion: boolean;
}

const grammars: Readonly<Record<SecretScheme | WrapperScheme, Grammar>> = {
  env: {
    location: /^[A-Za-z_][A-Za-z0-9_]*$/,
    problem: 'has a variable name that is not letters, digits and "_"',
    takesField: true,
    takesVersion: true,
  },
  file: { location: /^[^\0]+$/, problem: 'has a path with a zero byte', takesField: true, takesVersion: true },
  exec: {
    location: /^[^\0]+$/,
    problem: 'has a command with a zero byte',
    isVerbatim: true,
    takesField: false,
    takesVersion: false,
  },
  vault: service(/^[^/\s]+(?:\/[^/\s]+)+$/, 'MOUNT/PATH', true),
  'aws-sm': service(/^[A-Za-z0-9/_+=.@:-]+$/, 'the name or ARN of a secret', true),
  'azure-kv': service(/^[A-Za-z0-9.:-]+\/[A-Za-z0-9-]+$/, 'VAULT/NAME', true),
  'gcp-sm': service(/^[a-z0-9.:-]+\/[A-Za-z0-9_-]+$/, 'PROJECT/NAME', true),
  'aws-kms': { ...service(/^[A-Za-z0-9/_:-]+$/, 'the ARN, id or alias of a key', false), takesVersion: false },
  'gcp-kms': service(
    /^projects\/[^/]+\/locations\/[^/]+\/keyRings\/[^/]+\/cryptoKeys\/[^/]+$/,
    'projects/P/locations/L/keyRings/R/cryptoKeys/K',
    false,
  ),
  'azure-key': service(/^[A-Za-z0-9.:-]+\/[A-Za-z0-9-]+$/, 'VAULT/KEY', false),
  'vault-transit': service(/^[^\s]+\/[^/\s]+$/, 'MOUNT/KEY', false),
};

function service(location: RegExp, shape: string, takesField: boolean): Grammar {
  return { location, problem: `is not ${shape}`, takesField, takesVersion: true };
}

const hint = 'Write env:NAME for an environment variable, file:PATH for a file; see docs/keys.md for the others.';

/**
 * `SCHEME:LOCATION`, then `#FIELD` (of a JSON object) and `@VERSION` where the scheme has them; a `#`, `@` or `%` of the
 * location itself is written `%23`, `%40` or `%25` (and `/` in a version `%2F`) where it could be mistaken. Anything else fails with `config`. People
 * paste the secret itself where its reference belongs, so no message repeats what was given.
 */
export function parseSecretReference(text: string): SecretReference {
  const reference = parseReference(text);
  if (isSecret(reference)) return reference;
  throw new BackupError('config', `"${reference.scheme}:" names a key that stays in its service, not a secret`, {
    hint: 'Use it with --key; a secret comes from env:, file:, exec:, vault:, aws-sm:, azure-kv: or gcp-sm:.',
  });
}

/** A reference where a key that never leaves its service may stand as well: `--key`. Errors as `parseSecretReference`. */
export function parseKeyReference(text: string): SecretReference | WrapperReference {
  return parseReference(text);
}

/**
 * A reference for the audit log: as it is when it can be parsed; otherwise it may be the secret itself, and all that is
 * left is a known scheme, if it begins with one.
 */
export function redactReference(text: string): string {
  try {
    return parseReference(text).text;
  } catch {
    const scheme = text.slice(0, text.indexOf(':') + 1);
    return isScheme(scheme.slice(0, -1)) ? scheme : '(unreadable reference)';
  }
}

/** The reference of a file, whatever its path has in it. */
export function toFileReference(path: string): SecretReference {
  const text = `file:${path.replace(/[%@#]/g, encodeURIComponent)}`;
  return { scheme: 'file', location: path, text, takesVersion: grammars.file.takesVersion };
}

export function isSecret(reference: SecretReference | WrapperReference): reference is SecretReference {
  return secretSchemes.some((scheme) => scheme === reference.scheme);
}

function parseReference(text: string): SecretReference | WrapperReference {
  const colon = text.indexOf(':');
  const scheme = colon === -1 ? '' : text.slice(0, colon);
  if (!isScheme(scheme)) throw new BackupError('config', 'secret reference starts with no known scheme', { hint });
  const grammar = grammars[scheme];
  const parts = grammar.isVerbatim === true ? { location: text.slice(colon + 1) } : splitParts(text.slice(colon + 1));
  checkParts(scheme, parts);
  return { scheme, ...parts, text, takesVersion: grammar.takesVersion };
}

/**
 * The secret as its source knows it, and the id of a key in it. Key ids are 16 hex digits, which is no version of any
 * service; files and variables have no versions at all.
 */
export function splitKeyId(reference: SecretReference): { readonly source: SecretReference; readonly keyId?: string } {
  const { version, ...source } = reference;
  if (version === undefined) return { source };
  const isKeyId = reference.scheme === 'file' || reference.scheme === 'env' || /^[0-9a-f]{16}$/.test(version);
  return isKeyId ? { source, keyId: version } : { source: reference };
}

/** For sources that keep no versions of a secret: fails with `config` when one is asked for. */
export function refuseVersion({ scheme, version }: SecretReference): void {
  if (version === undefined) return;
  throw new BackupError('config', `secret reference "${scheme}:" has an "@", but the secret has no versions`, {
    hint: 'After "@" stands the id of a key in a keyring; write %40 for an @ of the location itself.',
  });
}

/** The same secret in a version of the source's own. */
export function withVersion(reference: SecretReference, version: string): SecretReference {
  return { ...reference, version, text: `${reference.text}@${version.replace(/[%@#/]/g, encodeURIComponent)}` };
}

/** The same secret, of which no version is named. */
export function withoutVersion(reference: SecretReference): SecretReference {
  const { version, ...whole } = reference;
  return version === undefined ? reference : { ...whole, text: whole.text.slice(0, whole.text.lastIndexOf('@')) };
}

function isScheme(text: string): text is SecretScheme | WrapperScheme {
  return Object.hasOwn(grammars, text);
}

interface Parts {
  readonly location: string;
  readonly field?: string;
  readonly version?: string;
}

/** From the end: a version has no `/` or `#`, a field no `/`, so that most paths need no encoding. */
function splitParts(rest: string): Parts {
  const version = /@(?<version>[^/@#]*)$/.exec(rest);
  const unversioned = version === null ? rest : rest.slice(0, version.index);
  const field = /#(?<field>[^/#]*)$/.exec(unversioned);
  const location = field === null ? unversioned : unversioned.slice(0, field.index);
  return {
    location: decode(location),
    ...(field !== null && { field: decode(field.groups?.['field'] ?? '') }),
    ...(version !== null && { version: decode(version.groups?.['version'] ?? '') }),
  };
}

function decode(text: string): string {
  return text.replace(/%(23|25|2F|40)/gi, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));
}

function checkParts(scheme: SecretScheme | WrapperScheme, { location, field, version }: Parts): void {
  const { location: pattern, problem, takesField, takesVersion } = grammars[scheme];
  const refuse = (what: string) => new BackupError('config', `secret reference "${scheme}:" ${what}`, { hint });
  if (location === '') throw refuse('names nothing after the colon');
  if (!pattern.test(location)) throw refuse(problem);
  if (field === '') throw refuse('has an empty field after "#"');
  if (version === '') throw refuse('has an empty version after "@"');
  if (field !== undefined && !takesField) throw refuse('takes no "#" field');
  if (version !== undefined && !takesVersion) throw refuse('takes no "@" version');
}
