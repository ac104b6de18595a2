import { BackupError } from '../core/backup-error.ts';
import type { Stage } from '../core/byte-stream.ts';

export interface ExpectedSize {
  /** For the message. */
  readonly name: string;
  readonly sizeBytes: number;
}

/** Enough to keep a program waiting, and little to copy. */
const heldBytes = 1024;

/**
 * Holds back the last bytes until the source has ended without an error and, where it is known, with the expected size
 * (`integrity` otherwise). psql and pg_restore finish their work on the last bytes, not on the end of the stream: they
 * must not get them before everything was checked.
 */
export function holdLastChunk(expected?: ExpectedSize): Stage {
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
    if (expected !== undefined && sizeBytes !== expected.sizeBytes) {
      throw new BackupError(
        'integrity',
        `object "${expected.name}" holds ${sizeBytes} bytes of dump instead of ${expected.sizeBytes}`,
      );
    }
    if (held !== undefined) yield held;
  };
}
