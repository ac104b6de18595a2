import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';

/** Whether this process may mount file systems and is not stopped by file modes. */
export const isRoot = process.getuid?.() === 0;

/**
 * A command in front of a program that takes root's right to ignore file modes away, so that a folder without write
 * permission refuses root as it refuses everybody else; nothing where we are not root.
 */
export const withoutRootRights: readonly string[] = isRoot
  ? ['setpriv', '--bounding-set=-dac_override,-dac_read_search', '--']
  : [];

/** A file system in memory of `sizeBytes` at `folder`, which is made; dispose unmounts it. Needs root. */
export function mountSmallDisk(folder: string, sizeBytes: number): Disposable & { makeReadOnly(): void } {
  mkdirSync(folder, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes},mode=700`, 'tmpfs', folder]);
  const unmount = () => execFileSync('umount', [folder]);
  process.once('exit', unmount);
  return {
    makeReadOnly: () => execFileSync('mount', ['-o', 'remount,ro', folder]),
    [Symbol.dispose]: () => {
      process.off('exit', unmount);
      unmount();
    },
  };
}

/** A command in front of a program that may write files of at most `kibibytes`; more is an error (EFBIG), not a signal. */
export function withFileSizeLimit(kibibytes: number): readonly string[] {
  return ['bash', '-c', `trap '' XFSZ; ulimit -f ${kibibytes}; exec "$@"`, 'bash'];
}
