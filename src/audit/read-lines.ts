import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { BackupError } from '../core/backup-error.ts';
import { errorCode } from '../core/error-code.ts';
import { toAuditError } from './audit-errors.ts';
import { listRotatedFiles } from './audit-files.ts';

export interface AuditPlace {
  readonly file: string;
  /** 1 for the first line of the file. */
  readonly line: number;
}

export interface AuditLine {
  readonly place: AuditPlace;
  /** Without its newline. */
  readonly bytes: Uint8Array;
  readonly isTerminated: boolean;
}

interface OpenFile {
  readonly path: string;
  readonly file: FileHandle;
  readonly inode: number;
}

const newline = 0x0a;

/**
 * The lines of a log, from its oldest full file to the last line of the newest, as it is when this begins. Fails with
 * `notFound` when there is no such log, otherwise as `toAuditError`.
 */
export async function* readLines(path: string): AsyncGenerator<AuditLine> {
  await using opened = new AsyncDisposableStack();
  const files = await openFiles(path, opened);
  for (const { path, file } of files) yield* readFileLines(path, file);
}

/** The newest first: should it be renamed meanwhile, it is found again under its new name, and read once. */
async function openFiles(path: string, opened: AsyncDisposableStack): Promise<readonly OpenFile[]> {
  const newest = await tryOpen(path, opened);
  const files: OpenFile[] = [];
  for (const rotated of await listRotatedFiles(path)) {
    const file = await tryOpen(rotated, opened);
    if (file !== null && file.inode !== newest?.inode) files.push(file);
  }
  if (newest !== null) files.push(newest);
  if (files.length > 0) return files;
  throw new BackupError('notFound', `there is no audit log "${path}"`, { hint: 'Say where it is with --audit-file.' });
}

async function tryOpen(path: string, opened: AsyncDisposableStack): Promise<OpenFile | null> {
  try {
    const file = opened.use(await open(path, constants.O_RDONLY | constants.O_NOFOLLOW));
    return { path, file, inode: (await file.stat()).ino };
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw toAuditError(error, `read audit log "${path}"`);
  }
}

async function* readFileLines(path: string, file: FileHandle): AsyncGenerator<AuditLine> {
  let line = 0;
  const toLine = (bytes: Uint8Array, isTerminated: boolean): AuditLine => {
    line += 1;
    return { place: { file: path, line }, bytes, isTerminated };
  };
  let rest: Buffer[] = [];
  for await (const chunk of readChunks(path, file)) {
    let start = 0;
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, start)) {
      yield toLine(Buffer.concat([...rest, chunk.subarray(start, end)]), true);
      rest = [];
      start = end + 1;
    }
    if (start < chunk.length) rest.push(chunk.subarray(start));
  }
  if (rest.length > 0) yield toLine(Buffer.concat(rest), false);
}

async function* readChunks(path: string, file: FileHandle): AsyncGenerator<Buffer> {
  try {
    yield* file.createReadStream({ autoClose: false, highWaterMark: 256 * 1024 }) as AsyncIterable<Buffer>;
  } catch (error) {
    throw toAuditError(error, `read audit log "${path}"`);
  }
}
