import { BackupError } from '../core/backup-error.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import { ByteReader } from '../core/byte-reader.ts';

const frameMagic = 0xfd2fb528;
const skippableMagic = 0x184d2a50;

/** What a frame says of itself (RFC 8878 3.1.1.1). */
export interface ZstdFrameHeader {
  readonly bytes: Buffer;
  /** Size after decompression; `null` when the writer did not know it. */
  readonly contentBytes: number | null;
  readonly hasChecksum: boolean;
}

/**
 * Walks concatenated zstd frames without decompressing them, by their headers and block sizes (RFC 8878 3.1.1). Node
 * 24's own decompressor stops silently after the first frame, so each frame has to be found and opened on its own.
 * Skippable frames are passed over. Anything that is no frame fails with `integrity`.
 */
export class ZstdFrameReader {
  readonly #reader: ByteReader;

  constructor(source: ByteStream) {
    this.#reader = new ByteReader(source);
  }

  /** The next frame's header, taken from the stream; `null` after the last frame. Read the frame's body next. */
  async nextHeader(): Promise<ZstdFrameHeader | null> {
    while (!(await this.#reader.isAtEnd())) {
      const magic = (await this.#take(4)).readUInt32LE(0);
      if (magic === frameMagic) return await this.#takeHeader();
      if ((magic & 0xfffffff0) >>> 0 !== skippableMagic) throw damaged('no zstd frame where one should begin');
      for await (const _ of this.#pass((await this.#take(4)).readUInt32LE(0)));
    }
    return null;
  }

  /** The blocks of the frame whose header was just read, and its checksum. */
  async *body(header: ZstdFrameHeader): ByteStream {
    let isLast = false;
    while (!isLast) {
      const blockHeader = await this.#take(3);
      const fields = blockHeader.readUIntLE(0, 3);
      isLast = (fields & 1) === 1;
      const type = (fields >> 1) & 3;
      if (type === 3) throw damaged('reserved zstd block type');
      yield blockHeader;
      yield* this.#pass(type === 1 ? 1 : fields >> 3);
    }
    if (header.hasChecksum) yield await this.#take(4);
  }

  async release(): Promise<void> {
    await this.#reader.close();
  }

  async #takeHeader(): Promise<ZstdFrameHeader> {
    const descriptor = (await this.#take(1)).readUInt8(0);
    const isSingleSegment = (descriptor & 0x20) !== 0;
    const sizeFlag = descriptor >> 6;
    const windowBytes = isSingleSegment ? 0 : 1;
    const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
    const sizeFieldBytes = sizeFlag === 0 ? (isSingleSegment ? 1 : 0) : 1 << sizeFlag;
    const fields = await this.#take(windowBytes + dictionaryBytes + sizeFieldBytes);
    const start = Buffer.alloc(5);
    start.writeUInt32LE(frameMagic, 0);
    start.writeUInt8(descriptor, 4);
    return {
      bytes: Buffer.concat([start, fields]),
      contentBytes: readContentSize(fields.subarray(windowBytes + dictionaryBytes)),
      hasChecksum: (descriptor & 4) !== 0,
    };
  }

  /** The next `sizeBytes` bytes as they come. */
  async *#pass(sizeBytes: number): ByteStream {
    for (let left = sizeBytes; left > 0;) {
      const some = await this.#reader.readSome(left);
      if (some.byteLength === 0) throw endsTooEarly();
      left -= some.byteLength;
      yield some;
    }
  }

  async #take(sizeBytes: number): Promise<Buffer> {
    const bytes = await this.#reader.read(sizeBytes);
    if (bytes.byteLength < sizeBytes) throw endsTooEarly();
    return bytes;
  }
}

function endsTooEarly(): BackupError {
  return damaged('it ends too early');
}

/** RFC 8878 3.1.1.1.4: little-endian; the two-byte form counts from 256. */
function readContentSize(field: Buffer): number | null {
  switch (field.byteLength) {
    case 0:
      return null;
    case 1:
      return field.readUInt8(0);
    case 2:
      return field.readUInt16LE(0) + 256;
    case 4:
      return field.readUInt32LE(0);
    default:
      return Number(field.readBigUInt64LE(0));
  }
}

function damaged(reason: string): BackupError {
  return new BackupError('integrity', `compressed data is damaged: ${reason}`);
}
