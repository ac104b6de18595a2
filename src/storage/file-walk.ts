import type { Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { hasFolders } from './file-commit.ts';
import { isMissing } from './file-errors.ts';

/** The plain files of one folder below a store's root. */
export interface FolderFiles {
  /** Beginning of their keys: empty, or ending in a slash. */
  readonly base: string;
  readonly names: readonly string[];
}

/** Every folder in which keys that start with `prefix` can lie. What vanishes meanwhile is left out. */
export async function* walkFolders(root: string, prefix: string): AsyncGenerator<FolderFiles> {
  const folders = prefix.split('/').slice(0, -1);
  if (!(await hasFolders(root, folders))) return;
  yield* walk(root, folders.map((name) => `${name}/`).join(''), prefix);
}

async function* walk(root: string, base: string, prefix: string): AsyncGenerator<FolderFiles> {
  const entries = await readFolder(root, base);
  yield { base, names: entries.filter((entry) => entry.isFile()).map(({ name }) => name) };
  for (const entry of entries) {
    const folder = `${base}${entry.name}/`;
    const isWanted = folder.startsWith(prefix) || prefix.startsWith(folder);
    if (entry.isDirectory() && isWanted) yield* walk(root, folder, prefix);
  }
}

async function readFolder(root: string, base: string): Promise<Dirent[]> {
  try {
    const entries = await readdir(join(root, base), { withFileTypes: true });
    // At the top of an ext file system, for root's eyes only, and never ours.
    return base === '' ? entries.filter((entry) => entry.name !== 'lost+found') : entries;
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
