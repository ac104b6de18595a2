import { createHash } from 'node:crypto';
import type { TornBytes } from './audit-event.ts';
import { readLines, type AuditLine, type AuditPlace } from './read-lines.ts';
import { isNewerEntry, parseEntry, type SealedEntry } from './seal-entry.ts';

/** Lines that are no entry, one after the other. */
export interface Gap {
  readonly place: AuditPlace;
  /** All of it. */
  readonly whole: TornBytes;
  /** Without its last newline, which the writer of the entry behind it has added. */
  readonly unterminated: TornBytes;
  /** False when the log ends within its last line. */
  readonly isTerminated: boolean;
  /** Whether its first line says that it is an entry of a version which this program does not know. */
  readonly isNewer: boolean;
}

/** An entry with what stands before it; or, in the end, what stands behind the last one. */
export interface Link {
  readonly gap: Gap | null;
  readonly found: FoundEntry | null;
}

export interface FoundEntry {
  readonly place: AuditPlace;
  readonly sealed: SealedEntry;
}

/** The log as entries and what is between them. The last link alone has no entry. Errors: as `readLines`. */
export async function* readLinks(path: string): AsyncGenerator<Link> {
  let gap: GapReader | null = null;
  for await (const line of readLines(path)) {
    const sealed = parseEntry(line.bytes);
    if (sealed === null) {
      gap ??= new GapReader(line);
      gap.add(line);
    } else {
      yield { gap: gap?.finish() ?? null, found: { place: line.place, sealed } };
      gap = null;
    }
  }
  yield { gap: gap?.finish() ?? null, found: null };
}

class GapReader {
  readonly #place: AuditPlace;
  readonly #isNewer: boolean;
  readonly #hash = createHash('sha256');
  #bytes = 0;
  #isTerminated = false;

  constructor({ place, bytes }: AuditLine) {
    this.#place = place;
    this.#isNewer = isNewerEntry(bytes);
  }

  add({ bytes, isTerminated }: AuditLine): void {
    if (this.#isTerminated) this.#update('\n');
    this.#update(bytes);
    this.#isTerminated = isTerminated;
  }

  finish(): Gap {
    const unterminated = { bytes: this.#bytes, sha256: this.#hash.copy().digest('hex') };
    if (this.#isTerminated) this.#update('\n');
    const whole = { bytes: this.#bytes, sha256: this.#hash.digest('hex') };
    return { place: this.#place, whole, unterminated, isTerminated: this.#isTerminated, isNewer: this.#isNewer };
  }

  #update(bytes: string | Uint8Array): void {
    this.#hash.update(bytes);
    this.#bytes += bytes.length;
  }
}
