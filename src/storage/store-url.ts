import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BackupError } from '../core/backup-error.ts';
import { hasControlCharacter, isObjectKey } from './object-key.ts';

/** The address of a store, taken apart. `path` is absolute; `prefix` has no slash at either end and may be empty. */
export type StoreUrl =
  | { readonly scheme: 'file'; readonly path: string }
  | { readonly scheme: 's3'; readonly bucket: string; readonly prefix: string }
  | { readonly scheme: 'az'; readonly account: string; readonly container: string; readonly prefix: string }
  | { readonly scheme: 'gs'; readonly bucket: string; readonly prefix: string };

const hintForms =
  'Give s3://BUCKET/PREFIX, az://ACCOUNT/CONTAINER/PREFIX, gs://BUCKET/PREFIX, file:///FOLDER, or a folder that begins with / or ./ .';

/**
 * Reads `s3://bucket/prefix`, `az://account/container/prefix`, `gs://bucket/prefix`, `file:///folder`, and plain folders that begin with `/`, `./` or `../`. A prefix is taken
 * as it stands (`%` and blanks included); a `file:` URL is percent-decoded. Everything else fails with `config`, in a
 * message that never repeats what could be a credential.
 */
export function parseStoreUrl(text: string): StoreUrl {
  if (text === '') throw invalid('it is empty');
  if (hasControlCharacter(text)) throw invalid('it contains a control character');
  if (/^(\/|\.{1,2}(\/|$))/.test(text)) return { scheme: 'file', path: resolve(text) };
  const [, scheme, rest] = /^([A-Za-z][A-Za-z0-9+.-]*):(.*)$/.exec(text) ?? [];
  if (scheme === undefined || rest === undefined) throw invalid('it has no scheme, such as s3://');
  return parsers.get(scheme.toLowerCase())?.(rest) ?? unknownScheme(scheme);
}

const parsers: ReadonlyMap<string, (rest: string) => StoreUrl> = new Map(
  Object.entries({
    file: parseFileUrl,
    s3: parseS3Url,
    az: parseAzureUrl,
    gs: parseGcsUrl,
  }),
);

function parseFileUrl(rest: string): StoreUrl {
  refuseQuery(rest);
  if (!rest.startsWith('/')) throw invalid('its path is not absolute');
  const url = URL.parse(`file:${rest}`);
  if (url === null || !/^\/(\/(localhost)?\/|[^/]|$)/.test(rest)) {
    throw invalid('it names another machine', 'Write three slashes before an absolute path: file:///FOLDER.');
  }
  try {
    return { scheme: 'file', path: fileURLToPath(url) };
  } catch (error) {
    throw new BackupError('config', 'store URL is wrong: its path cannot be decoded', {
      hint: 'Write % as %25, or give the folder as a plain path.',
      cause: error,
    });
  }
}

function parseS3Url(rest: string): StoreUrl {
  const { authority, path } = splitAuthority(rest, 'Give credentials by environment variables or an AWS profile.');
  return { scheme: 's3', bucket: checkedBucket(authority), prefix: checkedPrefix(path) };
}

/** Names as "Naming and Referencing Containers, Blobs, and Metadata" of the Azure documentation allows them. */
function parseAzureUrl(rest: string): StoreUrl {
  const { authority, path } = splitAuthority(rest, 'Give credentials by environment variables or a managed identity.');
  const [container = '', ...prefix] = path.split('/');
  if (authority === '') throw invalid('the storage account is missing');
  if (!/^[a-z0-9]{3,24}$/.test(authority)) throw invalid(`${JSON.stringify(authority)} is not a storage account`);
  if (container === '') throw invalid('the container is missing');
  if (!/^(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*$/.test(container) && container !== '$root') {
    throw invalid(`${JSON.stringify(container)} is not a container name`);
  }
  return { scheme: 'az', account: authority, container, prefix: checkedPrefix(prefix.join('/')) };
}

/** Names of buckets as Google's "Bucket naming requirements" allow them. */
function parseGcsUrl(rest: string): StoreUrl {
  const { authority, path } = splitAuthority(rest, 'Give credentials by GOOGLE_APPLICATION_CREDENTIALS.');
  if (authority === '') throw invalid('the bucket is missing');
  if (!/^(?=.{3,222}$)[a-z0-9][a-z0-9._-]*[a-z0-9]$/.test(authority)) {
    throw invalid(`${JSON.stringify(authority)} is not a bucket name`);
  }
  return { scheme: 'gs', bucket: authority, prefix: checkedPrefix(path) };
}

/** What stands before and behind the first slash of `//authority/path`. */
function splitAuthority(rest: string, credentialsHint: string): { authority: string; path: string } {
  const [, authority = '', tail = ''] = /^\/\/([^/?#]*)(.*)$/.exec(rest) ?? [];
  if (authority.includes('@')) throw invalid('it contains credentials', credentialsHint);
  refuseQuery(tail);
  return { authority, path: tail.replace(/^\//, '').replace(/\/$/, '') };
}

function checkedBucket(name: string): string {
  if (name === '') throw invalid('the bucket is missing');
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$/.test(name)) return name;
  throw invalid(`${JSON.stringify(name)} is not a bucket name`);
}

function checkedPrefix(prefix: string): string {
  if (prefix === '' || isObjectKey(prefix)) return prefix;
  throw invalid(`${JSON.stringify(prefix)} is not a usable prefix`, 'Leave out empty segments, "." and "..".');
}

/** Settings do not belong into the address, and a signed URL's query is a credential. */
function refuseQuery(text: string): void {
  if (!/[?#]/.test(text)) return;
  throw invalid('it has a query string or a fragment', 'Give region, endpoint and the like as options.');
}

function unknownScheme(scheme: string): never {
  throw invalid(`its scheme "${scheme}" is unknown`);
}

function invalid(problem: string, hint = hintForms): BackupError {
  return new BackupError('config', `store URL is wrong: ${problem}`, { hint });
}
