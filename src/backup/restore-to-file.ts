import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { open, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { BackupError, toBackupError } from '../core/backup-error.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import { syncFolder } from '../files/sync-folder.ts';
import { Meter } from '../pipeline/meter.ts';
import { runPipeline } from '../pipeline/run-pipeline.ts';
import type { Archive } from './archive.ts';
import type { UseCaseContext } from './use-case-context.ts';

export interface FileRestoreReport {
  readonly plainBytes: number;
}

/**
 * Writes the dump itself, decrypted and decompressed. The file (mode 0600) appears under its name only when every byte
 * was checked and is on the disk; an older file of that name is replaced at once. On failure nothing is left. A pipe or
 * a device (`/dev/null`, `/dev/stdout`) is written to, never replaced, and a link is followed.
 */
export async function restoreToFile(
  archive: Archive,
  path: string,
  context: UseCaseContext,
): Promise<FileRestoreReport> {
  const existing = await stat(path).catch(() => null);
  if (existing?.isDirectory() === true) throw new BackupError('storage', `cannot write "${path}": it is a folder`);
  return existing === null || existing.isFile()
    ? await restoreToRegularFile(archive, existing === null ? path : await realpath(path), context)
    : await restoreToSpecialFile(archive, path, context);
}

async function restoreToRegularFile(
  archive: Archive,
  path: string,
  context: UseCaseContext,
): Promise<FileRestoreReport> {
  const temporary = `${path}.${randomBytes(4).toString('hex')}.partial`;
  try {
    const report = await readWhole(archive, context, async (body) => await writeDurably(temporary, body));
    await rename(temporary, path);
    await syncFolder(dirname(path));
    return report;
  } catch (error) {
    await rm(temporary, { force: true });
    throw toBackupError(error, 'storage', `cannot write "${path}"`);
  }
}

async function restoreToSpecialFile(
  archive: Archive,
  path: string,
  context: UseCaseContext,
): Promise<FileRestoreReport> {
  await archive.checkStored(context.signal);
  return await readWhole(archive, context, async (body, signal) => {
    const stream = createWriteStream(path).on('error', () => {});
    try {
      await writeAll(body, stream, signal);
      await finished(stream.end());
    } catch (error) {
      throw toBackupError(error, 'storage', `cannot write "${path}"`);
    }
  });
}

/**
 * Writes the dump to an open stream. What was written cannot be taken back, so the stored bytes are checked before the
 * first one is written, where there is something to check them against.
 */
export async function restoreToStream(
  archive: Archive,
  stream: Writable,
  context: UseCaseContext,
): Promise<FileRestoreReport> {
  await archive.checkStored(context.signal);
  return await readWhole(archive, context, async (body, signal) => {
    await writeAll(body, stream, signal).catch((error: unknown) => {
      if (isBrokenPipe(error)) throw new BackupError('storage', 'standard output was closed', { cause: error });
      throw toBackupError(error, 'storage', 'cannot write to standard output');
    });
  });
}

async function readWhole(
  archive: Archive,
  context: UseCaseContext,
  sink: (body: ByteStream, signal: AbortSignal) => Promise<void>,
): Promise<FileRestoreReport> {
  const meter = new Meter();
  await runPipeline({ signal: context.signal }, async (signal) => {
    const { body } = await archive.open(signal);
    await sink(meter.count(body), signal);
  });
  return { plainBytes: meter.bytes };
}

/** `pipeline` would wait for a reader that takes nothing, aborted or not. */
async function writeAll(body: ByteStream, stream: Writable, signal: AbortSignal): Promise<void> {
  for await (const chunk of body) {
    signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const onAbort = () => reject(signal.reason);
      signal.addEventListener('abort', onAbort, { once: true });
      stream.write(chunk, (error) => {
        signal.removeEventListener('abort', onAbort);
        if (error) reject(error);
        else resolve();
      });
    });
  }
}

async function writeDurably(path: string, body: ByteStream): Promise<void> {
  await using file = await open(path, 'wx', 0o600);
  for await (const chunk of body) await file.writeFile(chunk);
  await file.sync();
}

function isBrokenPipe(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EPIPE';
}
