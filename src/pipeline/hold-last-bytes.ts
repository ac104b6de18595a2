import { BackupError } from '../core/backup-error.ts';
import type { Stage } from '../core/byte-stream.ts';

/** Enough to keep a program waiting, and little to copy. */
const heldBytes = 1024;

/**
 * Holds back the last bytes until the source has ended without an error and `check`, given the number of all bytes, has
 * not thrown. psql, pg_restore and decrypters finish their work on the last bytes, not on the end of the stream: they must
 * not get them before everything was checked.
 */
export function holdLastBytes(check: (sizeBytes: number) => void = () => {}): Stage {
  return async function* (source) {
    let held: Uint8Array | undefined;
    let sizeBytes = 0;
    for await (const chunk of source) {
      if (chunk.byteLength === 0) continue;
      if (held !== undefined) yield held;
      const start = Math.max(0, chunk.byteLength - heldBytes);
      // A copy: the chunk belongs to its producer again as soon as the next one is asked for.
      held = Buffer.from(chunk.subarray(start));
      sizeBytes += chunk.byteLength;
      if (start > 0) yield chunk.subarray(0, start);
    }
    check(sizeBytes);
    if (held !== undefined) yield held;
  };
}

/** The same, where the size of what comes is known; `name` is the object's, for the message. Fails with `integrity`. */
export function checkSize({ name, sizeBytes }: { readonly name: string; readonly sizeBytes: number }): Stage {
  return holdLastBytes((found) => {
    if (found === sizeBytes) return;
    throw new BackupError('integrity', `object "${name}" holds ${found} bytes of dump instead of ${sizeBytes}`);
  });
}
