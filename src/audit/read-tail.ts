import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import type { TornBytes } from './audit-event.ts';
import { parseEntry, refuseNewerEntry, type SealedEntry } from './seal-entry.ts';

/** How a file of the log ends. */
export interface Tail {
  readonly sizeBytes: number;
  /** `null`: no line of the file is an entry. */
  readonly last: SealedEntry | null;
  /** What stands behind the last entry and is none. */
  readonly torn: TornBytes | null;
  /** Whether a new line can be written as it is: false when the file ends within one. */
  readonly isTerminated: boolean;
}

const newline = 0x0a;
const firstReadBytes = 64 * 1024;

/**
 * Finds the last entry of a file, reading backwards. An entry that lacks only its newline counts: its writer died after
 * it was written whole. Fails with `config` when it meets an entry of a newer version.
 */
export async function readTail(file: FileHandle): Promise<Tail> {
  const { size: sizeBytes } = await file.stat();
  for (let readBytes = Math.min(firstReadBytes, sizeBytes); ; readBytes = Math.min(readBytes * 4, sizeBytes)) {
    const bytes = await readEnd(file, sizeBytes, readBytes);
    const isWhole = readBytes === sizeBytes;
    const found = findLastEntry(bytes, isWhole);
    const isTerminated = bytes.length === 0 || bytes.at(-1) === newline;
    if (found !== null) {
      return { sizeBytes, last: found.last, torn: toTorn(bytes.subarray(found.endsAt)), isTerminated };
    }
    if (isWhole) return { sizeBytes, last: null, torn: toTorn(bytes), isTerminated };
  }
}

async function readEnd(file: FileHandle, sizeBytes: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await file.read(bytes, filled, length - filled, sizeBytes - length + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}

interface FoundEntry {
  readonly last: SealedEntry;
  /** Where what is behind it begins. */
  readonly endsAt: number;
}

/** The first line of bytes that are not the whole file may be cut, and does not count. */
function findLastEntry(bytes: Buffer, isWhole: boolean): FoundEntry | null {
  let end = bytes.at(-1) === newline ? bytes.length - 1 : bytes.length;
  while (end > 0) {
    const start = bytes.lastIndexOf(newline, end - 1) + 1;
    if (start === 0 && !isWhole) return null;
    const line = bytes.subarray(start, end);
    const last = parseEntry(line);
    if (last !== null) return { last, endsAt: Math.min(end + 1, bytes.length) };
    refuseNewerEntry(line);
    end = start - 1;
  }
  return null;
}

function toTorn(bytes: Uint8Array): TornBytes | null {
  if (bytes.byteLength === 0) return null;
  return { bytes: bytes.byteLength, sha256: createHash('sha256').update(bytes).digest('hex') };
}
