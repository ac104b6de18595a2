import { BackupError } from '../core/backup-error.ts';
import type { Stage } from '../core/byte-stream.ts';

export interface ExpectedSize {
  /** For the message. */
  readonly name: string;
  readonly sizeBytes: number;
}

/**
 * Holds back the last chunk until the source has ended without an error and, where it is known, with the expected size
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
      // A copy: the chunk belongs to its producer again as soon as the next one is asked for.
      held = Buffer.from(chunk);
      sizeBytes += chunk.byteLength;
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
