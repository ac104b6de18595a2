import { constants, type BigIntStats } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { BackupError } from '../core/backup-error.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import type { ByteRange } from './byte-range.ts';

const chunkBytes = 1024 * 1024;

/** Opens a file to read it. A link is not followed (`ELOOP`), and a pipe does not make us wait for a writer. */
export async function openFile(path: string): Promise<FileHandle> {
  return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
}

/** Names this content of a file: a replacement has another inode, a change in place another time. */
export function versionOf(stats: BigIntStats): string {
  return `${stats.ino}-${stats.mtimeNs}-${stats.size}`;
}

/**
 * The bytes of an open file in chunks of 1 MiB, one chunk read ahead, in two buffers that take turns. `name` is for
 * the message when the file ends before the range does, which fails with `integrity`.
 */
export async function* readFileRange(handle: FileHandle, range: ByteRange, name: string): ByteStream {
  const read = async (start: number, buffer: Buffer): Promise<Buffer> => {
    const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.byteLength, range.end - start), start);
    return buffer.subarray(0, bytesRead);
  };
  const sizeBytes = range.end - range.start;
  let buffer = Buffer.allocUnsafeSlow(Math.min(chunkBytes, sizeBytes));
  let other = Buffer.allocUnsafeSlow(buffer.byteLength);
  let position = range.start;
  let ahead = position < range.end ? read(position, buffer) : undefined;
  try {
    while (ahead !== undefined) {
      const chunk = await ahead;
      if (chunk.byteLength === 0) throw new BackupError('integrity', `${name} became shorter while it was read`);
      position += chunk.byteLength;
      [buffer, other] = [other, buffer];
      ahead = position < range.end ? read(position, buffer) : undefined;
      ahead?.catch(() => {});
      yield chunk;
    }
  } finally {
    await ahead?.catch(() => {});
  }
}
