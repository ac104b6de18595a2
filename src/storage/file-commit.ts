import { createHash, randomBytes } from 'node:crypto';
import { link, lstat, mkdir, open, rename, rm, rmdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { BackupError } from '../core/backup-error.ts';
import { errorCode } from '../core/error-code.ts';
import { syncFolder } from '../files/sync-folder.ts';
import { isMissing } from './file-errors.ts';

/** Names that this store gives to unfinished files. They are no objects: never listed, and no key may look like one. */
const partialName = /^\..*\.partial$/s;

export function isPartialName(name: string): boolean {
  return partialName.test(name);
}

/** What stands for a file's name in the names of its unfinished content: the name itself, unless that is very long. */
export function nameOfPartial(name: string): string {
  return name.replace(/^\./, '').replace(/\.(?:[0-9a-f]{12}|claim)\.partial$/, '');
}

/** A new name beside `path` for its unfinished content; short enough for every file system, however long the name is. */
export function partialPath(path: string): string {
  return join(dirname(path), `.${shortName(path)}.${randomBytes(6).toString('hex')}.partial`);
}

/** Whether all the folders are there, each inside the one before, the first inside `root`; a link is no folder. */
export async function hasFolders(root: string, names: readonly string[]): Promise<boolean> {
  for (const path of nestedPaths(root, names)) {
    if ((await kindOf(path)) !== 'folder') return false;
  }
  return true;
}

/**
 * Makes what is missing of the folders `names`, each inside the one before, the first inside `root`. Somebody else who
 * makes one of them at the same time is no failure.
 */
export async function makeFolders(root: string, names: readonly string[]): Promise<void> {
  for (const path of nestedPaths(root, names)) {
    const kind = await kindOf(path);
    if (kind === 'missing') await makeFolder(path);
    if (kind === 'file' || kind === 'other') {
      throw new Error(`"${path}" is in the way: it is not a folder, and links inside a store are not followed`);
    }
  }
}

function nestedPaths(root: string, names: readonly string[]): string[] {
  return names.map((_, index) => join(root, ...names.slice(0, index + 1)));
}

/** Makes one folder for its owner only, durably; `false` when there is something already. */
export async function makeFolder(path: string): Promise<boolean> {
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
  await syncFolder(dirname(path));
  return true;
}

/** Fails with `notFound` unless the folder of a store, at `root`, is there. */
export async function assertRoot(root: string): Promise<void> {
  if (await isFolder(root)) return;
  throw new BackupError('notFound', `the store's folder "${root}" does not exist or is not a folder`, {
    hint: 'Check the address, and that its file system is mounted; the first backup makes the folder.',
  });
}

/** Whether there is a folder at `path`, which may be a link to one. */
async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

/** Removes those of the folders that are empty, innermost first. */
async function removeEmptyFolders(folders: readonly string[]): Promise<void> {
  for (const folder of folders.toReversed()) {
    try {
      await rmdir(folder);
    } catch {
      return; // In use, or gone already: both are fine.
    }
  }
}

/** Removes the folders on the way to `key` that are empty; does not follow a link on that way. */
export async function removeFoldersOf(root: string, key: string): Promise<void> {
  const folders: string[] = [];
  for (const path of nestedPaths(root, key.split('/').slice(0, -1))) {
    if ((await kindOf(path)) !== 'folder') break;
    folders.push(path);
  }
  await removeEmptyFolders(folders);
}

/** Makes the finished file at `partial` visible as `path`, in place of what was there, and durable. */
export async function publishReplacing(partial: string, path: string): Promise<void> {
  await rename(partial, path);
  await syncFolder(dirname(path));
}

/**
 * Makes the finished file at `partial` visible as `path`, and durable, unless there is something already: then it gives
 * `false` and `partial` stays. Of several callers at once, one succeeds.
 */
export async function publishNew(partial: string, path: string, deps = { link }): Promise<boolean> {
  try {
    await deps.link(partial, path);
  } catch (error) {
    const code = errorCode(error);
    if (withoutHardLinks.has(code)) return await publishClaimed(partial, path);
    // A network file system may say so to the repetition of a call whose first answer was lost.
    if (code !== 'EEXIST' || !(await isSameFile(partial, path))) return rejectUnlessExists(error, code);
  }
  await rm(partial, { force: true });
  await syncFolder(dirname(path));
  return true;
}

/** What `link` answers on file systems that have no hard links (FAT, many network and FUSE file systems). */
const withoutHardLinks = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EINVAL']);

/**
 * `publishNew` without hard links: an exclusively made claim file lets one writer at a time look and rename. A claim
 * that a killed process left behind blocks this one name; it is an unfinished file like any other.
 */
async function publishClaimed(partial: string, path: string): Promise<boolean> {
  const claim = join(dirname(path), `.${shortName(path)}.claim.partial`);
  try {
    await (await open(claim, 'wx', 0o600)).close();
  } catch (error) {
    return rejectUnlessExists(error, errorCode(error));
  }
  try {
    if ((await kindOf(path)) !== 'missing') return false;
    await publishReplacing(partial, path);
    return true;
  } finally {
    await rm(claim, { force: true });
  }
}

function rejectUnlessExists(error: unknown, code: string | undefined): false {
  if (code === 'EEXIST') return false;
  throw error;
}

async function isSameFile(one: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all([lstat(one, { bigint: true }), lstat(other, { bigint: true })]);
  return a.ino === b.ino && a.dev === b.dev;
}

/** What is at a path, without following a link there. */
export async function kindOf(path: string): Promise<'missing' | 'file' | 'folder' | 'other'> {
  try {
    const stats = await lstat(path);
    if (stats.isDirectory()) return 'folder';
    return stats.isFile() ? 'file' : 'other';
  } catch (error) {
    if (isMissing(error)) return 'missing';
    throw error;
  }
}

/** A file's name, or a digest of it where there would be no room for what is added to it. */
function shortName(path: string): string {
  const name = basename(path);
  return Buffer.byteLength(name) <= 200 ? name : createHash('sha256').update(name).digest('hex');
}

/** Fails with `bug` for keys whose last segment looks like an unfinished file. */
export function assertFinalName(key: string): void {
  if (isPartialName(basename(key))) throw new BackupError('bug', `"${key}" is the name of an unfinished file`);
}
