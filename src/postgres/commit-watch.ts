import type { ByteStream } from '../core/byte-stream.ts';

/** Watches a script for a COMMIT in a line of its own; it could also be a row of data or a line of a function. */
export class CommitWatch {
  #tail = Buffer.alloc(0);
  #hasSeen = false;

  get hasSeenCommit(): boolean {
    return this.#hasSeen;
  }

  async *watch(script: ByteStream): ByteStream {
    for await (const chunk of script) {
      this.#look(chunk);
      yield chunk;
    }
  }

  #look(chunk: Uint8Array): void {
    if (this.#hasSeen) return;
    const line = '\nCOMMIT;\n';
    const seam = Buffer.concat([this.#tail, chunk.subarray(0, line.length - 1)]);
    const view = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    this.#hasSeen = seam.includes(line) || view.includes(line);
    this.#tail = Buffer.concat([this.#tail, chunk.subarray(-(line.length - 1))]).subarray(-(line.length - 1));
  }
}
