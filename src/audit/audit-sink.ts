import type { SealedEntry } from './seal-entry.ts';

/** A place beside the file that gets every entry. */
export interface AuditSink {
  /** For messages: `syslog at udp://…`. */
  readonly name: string;
  /** Finds out whether the place can be reached, as far as that shows without an entry. Errors: as `deliver`. */
  prepare(): Promise<void>;
  /**
   * Takes entries in the order of their chain, at least one. Returns when the place has taken them, as far as it says
   * so. Fails with `storage`, and for the command's output with what its stream says.
   */
  deliver(entries: readonly SealedEntry[]): Promise<void>;
}

const newline = Buffer.from('\n');

/** JSON lines on a stream, such as standard output. */
export function createStreamSink(name: string, stream: NodeJS.WritableStream): AuditSink {
  return {
    name,
    prepare: async () => {},
    deliver: async (entries) =>
      await new Promise<void>((resolve, reject) => {
        stream.write(toLines(entries), (error) => (error ? reject(error) : resolve()));
      }),
  };
}

/** Puts a new object into a store; it never replaces one. */
export type PutCopy = (name: string, bytes: Uint8Array) => Promise<void>;

/**
 * A copy in a store: each append is one object, `<chain>/<sequence of its first entry, 12 digits>.jsonl`. All objects of
 * a chain, in the order of their names, are the log again.
 */
export function createStoreSink(put: PutCopy): AuditSink {
  return {
    name: 'copy in the store',
    prepare: async () => {},
    deliver: async (entries) => {
      const [first] = entries;
      if (first === undefined) return;
      const { chain, sequence } = first.entry;
      await put(`${chain}/${String(sequence).padStart(12, '0')}.jsonl`, toLines(entries));
    },
  };
}

function toLines(entries: readonly SealedEntry[]): Buffer {
  return Buffer.concat(entries.flatMap(({ line }) => [line, newline]));
}
