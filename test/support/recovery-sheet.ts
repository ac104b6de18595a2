import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { assertSameDatabase } from './database-difference.ts';
import { fingerprintDatabase, type DatabaseFingerprint } from './database-fingerprint.ts';
import type { Story } from './story.ts';

const run = promisify(execFile);

/** The commands that a sheet prints, one text for each indented block. */
function commandsIn(sheet: string): string[] {
  return [...sheet.matchAll(/(?:^ {4}\S.*\n(?: {4}.*\n)*)+/gm)].map(([block]) =>
    block.replaceAll(/^ {4}/gm, '').trim(),
  );
}

/** The one command of a sheet that has `part` in it. */
export function commandIn(sheet: string, part: RegExp): string {
  const found = commandsIn(sheet).filter((command) => part.test(command));
  assert.equal(found.length, 1, `${found.length} commands have ${part}`);
  return found[0] ?? '';
}

/** Runs a command of a sheet as it stands there, in the story's folder; gives what it printed. */
export async function shell(story: Story, command: string): Promise<string> {
  const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', command], { cwd: story.folder });
  return stdout.trim();
}

/** What the sheet says that the whole has to have as its check. */
export const wholeCheck = (sheet: string): string => /^This has to print ([0-9a-f]{16}):$/m.exec(sheet)?.[1] ?? '';

/** Runs the restore command of a sheet, of which only what is in capitals is replaced: the database has to come back as it was. */
export async function restoreBySheet(story: Story, sheet: string, original: DatabaseFingerprint): Promise<void> {
  const command = commandIn(sheet, /^librelog-backup list/)
    .split('\n')
    .slice(1)
    .join('\n');
  const [program, ...args] = command
    .replaceAll(/\\\n/g, ' ')
    .replace('--store URL', `--store ${story.storeUrl}`)
    .replace('--label NAME', '--label small')
    .replace('postgresql:///NAME', `postgresql:///${story.target}`)
    .split(/\s+/);
  assert.equal(program, 'librelog-backup');
  await story.succeed(args);
  assertSameDatabase(await fingerprintDatabase(story.cluster, story.target), original);
  await story.cluster.dropDatabase(story.target);
}
