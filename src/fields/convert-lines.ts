import { BackupError } from '../core/backup-error.ts';
import type { ByteStream } from '../core/byte-stream.ts';

/** Gives what stands in place of a line; both without the line's end. */
export type ConvertLine = (line: Buffer) => Uint8Array;

/** A line that is longer was not meant to be one. */
export const maxLineBytes = 16 * 1024 * 1024;

const newline = 0x0a;
const lineEnd = Buffer.from([newline]);

/**
 * Every line of `source` converted, in order; each ends with a newline, the last one also where `source` has none. Holds a
 * chunk and a line. An error of `convert` is thrown with the number of its line in front, after all lines before it were
 * given; so is one for a line of more than 16 MiB.
 */
export async function* convertLines(source: ByteStream, convert: ConvertLine): ByteStream {
  const lines = new LineSplitter();
  let number = 0;
  for await (const chunk of source) {
    const converted: Uint8Array[] = [];
    try {
      for (const line of lines.split(chunk)) {
        number += 1;
        converted.push(convert(line), lineEnd);
      }
    } catch (error) {
      if (converted.length > 0) yield Buffer.concat(converted);
      throw atLine(error, lines.isTooLong ? number + 1 : number);
    }
    if (converted.length > 0) yield Buffer.concat(converted);
  }
  const last = lines.takeRest();
  if (last === null) return;
  try {
    yield Buffer.concat([convert(last), lineEnd]);
  } catch (error) {
    throw atLine(error, number + 1);
  }
}

class LineSplitter {
  readonly #pieces: Buffer[] = [];
  #piecesBytes = 0;

  get isTooLong(): boolean {
    return this.#piecesBytes > maxLineBytes;
  }

  *split(chunk: Uint8Array): Generator<Buffer> {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    let start = 0;
    for (let end = bytes.indexOf(newline); end !== -1; end = bytes.indexOf(newline, start)) {
      this.#add(bytes.subarray(start, end));
      start = end + 1;
      yield this.#take();
    }
    // The chunk is its owner's again afterwards.
    if (start < bytes.byteLength) this.#add(Buffer.from(bytes.subarray(start)));
  }

  takeRest(): Buffer | null {
    return this.#piecesBytes === 0 ? null : this.#take();
  }

  #add(piece: Buffer): void {
    this.#pieces.push(piece);
    this.#piecesBytes += piece.byteLength;
    if (this.isTooLong) throw new BackupError('integrity', `longer than ${maxLineBytes} bytes`);
  }

  #take(): Buffer {
    const [only = Buffer.alloc(0), ...more] = this.#pieces.splice(0);
    this.#piecesBytes = 0;
    return more.length === 0 ? only : Buffer.concat([only, ...more]);
  }
}

function atLine(error: unknown, number: number): unknown {
  if (!(error instanceof BackupError)) return error;
  return new BackupError(error.kind, `line ${number}: ${error.message}`, { hint: error.hint, cause: error.cause });
}
