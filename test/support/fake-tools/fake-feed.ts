import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ByteStream } from '../../../src/core/byte-stream.ts';
import type { FakeTools } from './fake-tool.ts';

/** What `fakeSource` gives again and again. */
export const feedChunk = Buffer.alloc(64 * 1024, 'x');

/** A source of `count` chunks, then the end or an error; `state` tells how far it was read. */
export function fakeSource(count: number, error?: Error) {
  const state = { given: 0, isAtEnd: false };
  async function* give(): ByteStream {
    while (state.given < count) {
      state.given += 1;
      yield feedChunk;
    }
    state.isAtEnd = true;
    if (error !== undefined) throw error;
  }
  return { state, stream: give() };
}

/** Gives one chunk, then neither more nor an end. */
export async function* stalledSource(): ByteStream {
  yield feedChunk;
  await new Promise(() => {});
}

/** Body of a program that notes when its input ends: a real one might commit then. */
export function notesEnd({ folder }: FakeTools): string {
  return `cat > ${folder}/input; touch ${folder}/eof`;
}

export function sawEnd({ folder }: FakeTools): boolean {
  return existsSync(join(folder, 'eof'));
}

/** Body of a psql that prints what `SELECT 'text'` and the number of the transaction would print. */
export function answersLikePsql({ folder }: FakeTools, transaction = '7'): string {
  return `tee ${folder}/input | sed -un "
    s/^SELECT '\\([^']*\\)';$/\\1/p; s/^SELECT '\\([^']*\\)' || pg_catalog.txid_current();$/\\1${transaction}/p"`;
}

/** What the program was given on stdin; nothing when it ended before it had begun to read. */
export function receivedInput({ folder }: FakeTools): string {
  const path = join(folder, 'input');
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}
