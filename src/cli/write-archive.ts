import type { Archive } from '../backup/archive.ts';
import type { FileRestoreReport } from '../backup/restore-to-file.ts';
import type { CommandContext } from './context.ts';

/** Writes a dump to a file, or to standard output for `-`. */
export async function writeArchive(
  archive: Archive,
  path: string,
  context: CommandContext,
): Promise<FileRestoreReport> {
  const { restoreToFile, restoreToStream } = await import('../backup/restore-to-file.ts');
  if (path !== '-') return await restoreToFile(archive, path, context);
  context.output.reserveStdout();
  return await restoreToStream(archive, process.stdout, context);
}
