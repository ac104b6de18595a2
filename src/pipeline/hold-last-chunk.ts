import type { Stage } from '../core/byte-stream.ts';

/**
 * Holds back the last chunk until the source has ended without an error. psql and pg_restore finish their work on the
 * last bytes, not on the end of the stream: they must not get them before everything was checked.
 */
export const holdLastChunk: Stage = async function* (source) {
  let held: Uint8Array | undefined;
  for await (const chunk of source) {
    if (chunk.byteLength === 0) continue;
    if (held !== undefined) yield held;
    held = Buffer.from(chunk);
  }
  if (held !== undefined) yield held;
};
