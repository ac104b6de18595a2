import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, sep } from 'node:path';
import { requirePostgres } from './postgres-binaries.ts';

/** A PostgreSQL with extensions of ours, made without touching the one that is installed. */
export interface RelocatedPostgres extends Disposable {
  /** For `startCluster`: holds the server's programs only. */
  readonly binFolder: string;
}

/** What `startCluster` runs; a server finds its files relative to where its program really is, so no link will do. */
const serverPrograms = ['postgres', 'initdb'];

/**
 * Builds, in a temporary folder, an installation of copied programs and linked files, whose extensions are those of the
 * installed PostgreSQL and those in `extensionFolder` (control files and scripts).
 */
export async function relocatePostgres(extensionFolder: string, major?: number): Promise<RelocatedPostgres> {
  const installed = (await requirePostgres(major)).folder;
  const [bin, share, library] = ['--bindir', '--sharedir', '--pkglibdir'].map((option) => ask(installed, option));
  if (bin === undefined || share === undefined || library === undefined) throw new Error('pg_config names no folders');
  const folder = mkdtempSync(join(tmpdir(), 'lb-moved-'));
  const [, ...common] = commonFolders([bin, share, library]);
  const moved = (path: string): string => join(folder, relative(sep + common.join(sep), path));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o755); // the server may run as somebody else
  mkdirSync(moved(bin), { recursive: true });
  for (const program of serverPrograms) copyFileSync(join(bin, program), join(moved(bin), program));
  mkdirSync(dirname(moved(library)), { recursive: true });
  symlinkSync(library, moved(library));
  linkEach(share, moved(share), ['extension']);
  linkEach(join(share, 'extension'), join(moved(share), 'extension'));
  linkEach(extensionFolder, join(moved(share), 'extension'));
  return { binFolder: moved(bin), [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
}

function ask(binFolder: string, option: string): string {
  return execFileSync(join(binFolder, 'pg_config'), [option], { encoding: 'utf8' }).trim();
}

/** The server looks for its other folders from the last one that all of them have in common. */
function commonFolders(paths: readonly string[]): string[] {
  const [first = [], ...others] = paths.map((path) => path.split(sep));
  const differs = first.findIndex((part, index) => others.some((other) => other[index] !== part));
  return differs === -1 ? first : first.slice(0, differs);
}

function linkEach(source: string, target: string, except: readonly string[] = []): void {
  mkdirSync(target, { recursive: true });
  for (const name of readdirSync(source).filter((entry) => !except.includes(entry))) {
    symlinkSync(join(source, name), join(target, name));
  }
}
