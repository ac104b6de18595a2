import { closeSync, constants, existsSync, mkdtempSync, openSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Content that one child process may read, and nobody else. Dispose it when the child has ended. */
export interface PrivateFile extends Disposable {
  /** Where the child finds it. */
  readonly path: string;
  /** Descriptor that the child must inherit under the number that was asked for; `null`: the path is enough. */
  readonly descriptor: number | null;
}

/**
 * Hands `content` to a child. With `childDescriptor`, the descriptor number the child inherits it under, the file has no
 * name any more before the content is written, lives in memory where there is `/dev/shm`, and is gone with its last
 * reader, however we end; only Linux's `/proc/self/fd` can do that. Otherwise, or with `null`, it is a temporary file
 * of mode 0600 that dispose removes. libpq takes both: it demands a regular file that only its owner may read.
 */
export function openPrivateFile(content: string | Uint8Array, childDescriptor: number | null): PrivateFile {
  const canInherit = childDescriptor !== null && process.platform === 'linux' && existsSync('/proc/self/fd');
  return canInherit ? openNamelessFile(content, childDescriptor) : openNamedFile(content);
}

function openNamelessFile(content: string | Uint8Array, childDescriptor: number): PrivateFile {
  const folder = makeFolder();
  try {
    const path = join(folder, 'secret');
    const descriptor = createFile(path);
    unlinkSync(path);
    writeFileSync(descriptor, content);
    return {
      path: `/proc/self/fd/${childDescriptor}`,
      descriptor,
      [Symbol.dispose]: () => closeSync(descriptor),
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function openNamedFile(content: string | Uint8Array): PrivateFile {
  const folder = makeFolder();
  const path = join(folder, 'secret');
  const descriptor = createFile(path);
  writeFileSync(descriptor, content);
  closeSync(descriptor);
  return { path, descriptor: null, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
}

function createFile(path: string): number {
  return openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
}

/** A folder of our own, in memory where that is possible. */
function makeFolder(): string {
  try {
    return mkdtempSync('/dev/shm/librelog-backup-');
  } catch {
    return mkdtempSync(join(tmpdir(), 'librelog-backup-'));
  }
}
