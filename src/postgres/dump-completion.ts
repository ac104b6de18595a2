import type { DumpFormat } from './dump-plan.ts';

/** Looks at a dump as it passes and says at its end whether it is whole, as far as the dump itself can tell. */
export interface CompletionCheck {
  add(chunk: Uint8Array): void;
  /** `null`: nothing speaks against it; otherwise a verb phrase, e.g. `wrote nothing`. */
  problem(): string | null;
}

/** What pg_dump writes last into a script; up to a few dozen bytes, such as `\unrestrict …`, may follow. */
const scriptEnd = '-- PostgreSQL database dump complete';
const tailBytes = 512;
const archiveMagic = 'PGDMP';

/**
 * A custom archive starts with `PGDMP`, and says nothing about its end: there the exit code is all there is. A script
 * has its last line.
 */
export function createCompletionCheck(format: DumpFormat): CompletionCheck {
  return format === 'custom' ? new ArchiveCheck() : new ScriptCheck();
}

class ArchiveCheck implements CompletionCheck {
  #head = Buffer.alloc(0);

  add(chunk: Uint8Array): void {
    if (this.#head.byteLength >= archiveMagic.length) return;
    this.#head = Buffer.concat([this.#head, chunk.subarray(0, archiveMagic.length)]);
  }

  problem(): string | null {
    if (this.#head.byteLength === 0) return 'wrote nothing';
    return this.#head.toString('latin1').startsWith(archiveMagic) ? null : 'wrote something that is not an archive';
  }
}

class ScriptCheck implements CompletionCheck {
  #tail = Buffer.alloc(0);

  add(chunk: Uint8Array): void {
    this.#tail = Buffer.concat([this.#tail, chunk.subarray(-tailBytes)]).subarray(-tailBytes);
  }

  problem(): string | null {
    if (this.#tail.byteLength === 0) return 'wrote nothing';
    return this.#tail.toString('latin1').includes(scriptEnd) ? null : 'wrote a script without its last line';
  }
}
