import { BackupError } from '../core/backup-error.ts';

/** Where a secret is kept; never the secret itself, so it may be printed. */
export type SecretReference =
  | { readonly scheme: 'env'; readonly variable: string }
  | { readonly scheme: 'file'; readonly path: string };

/** Schemes that references may have one day, so that they are not mistaken for a typing error. */
const futureSchemes: ReadonlySet<string> = new Set([
  'exec',
  'vault',
  'aws-sm',
  'azure-kv',
  'gcp-sm',
  'aws-kms',
  'gcp-kms',
  'azure-key',
  'vault-transit',
]);

const hint = 'Write env:NAME for an environment variable or file:PATH for a file.';

/**
 * `env:NAME` or `file:PATH`. Anything else fails with `config`. People paste the secret itself where its reference
 * belongs, so no message repeats what was given.
 */
export function parseSecretReference(text: string): SecretReference {
  const colon = text.indexOf(':');
  const scheme = colon === -1 ? '' : text.slice(0, colon);
  const rest = text.slice(colon + 1);
  if (scheme === 'env') return { scheme, variable: checkVariable(rest) };
  if (scheme === 'file') return { scheme, path: checkPath(rest) };
  if (futureSchemes.has(scheme)) {
    throw new BackupError('config', `secret references of scheme "${scheme}:" are not supported by this version`, {
      hint,
    });
  }
  throw new BackupError('config', 'secret reference starts with no known scheme', { hint });
}

/** The reference as the user wrote it. */
export function describeSecretReference(reference: SecretReference): string {
  return reference.scheme === 'env' ? `env:${reference.variable}` : `file:${reference.path}`;
}

function checkVariable(name: string): string {
  if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return name;
  const problem = name === '' ? 'has no variable name' : 'has a variable name that is not letters, digits and "_"';
  throw new BackupError('config', `secret reference "env:" ${problem}`, { hint });
}

function checkPath(path: string): string {
  if (path !== '' && !path.includes('\0')) return path;
  const problem = path === '' ? 'has no path' : 'has a path with a zero byte';
  throw new BackupError('config', `secret reference "file:" ${problem}`, { hint });
}
