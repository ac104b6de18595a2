import { BackupError } from '../core/backup-error.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import { runPipeline } from '../pipeline/run-pipeline.ts';
import { findClientTool } from '../postgres/client-tools.ts';
import { listArchive } from '../postgres/pg-restore.ts';
import type { Archive } from './archive.ts';
import type { UseCaseContext } from './use-case-context.ts';

/** The table of contents of a custom-format dump, as `pg_restore --list` prints it. Errors: `usage` for plain dumps. */
export async function listContents(
  archive: Archive,
  binDir: string | undefined,
  context: UseCaseContext,
): Promise<string> {
  return await runPipeline({ signal: context.signal }, async (signal) => {
    if (archive.streams !== null) {
      return await archive.streams.listSchema(signal);
    }
    const { format, body } = await archive.open(signal);
    if (format === 'plain') {
      throw new BackupError('usage', `"${archive.name}" is a plain dump, which has no table of contents`);
    }
    return await readContents(body, archive, { binDir, readToEnd: false, context: { ...context, signal } });
  });
}

export interface ReadContentsOptions {
  readonly binDir: string | undefined;
  /** pg_restore needs the head only; read the rest all the same, so that its checks happen. */
  readonly readToEnd: boolean;
  readonly context: UseCaseContext;
}

/** The table of contents of the custom-format dump in `body`. */
export async function readContents(
  body: ByteStream,
  archive: Archive,
  { binDir, readToEnd, context }: ReadContentsOptions,
): Promise<string> {
  const serverMajor = archive.clientMajor ?? undefined;
  const tool = await findClientTool('pg_restore', { serverMajor, binDir, env: context.env });
  return await listArchive({ tool, signal: context.signal, readToEnd }, body);
}
