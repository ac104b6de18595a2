import type { ByteStream } from '../core/byte-stream.ts';
import type { DatabaseLocale } from '../postgres/server-info.ts';
import type { StoredStreams } from './stored-streams.ts';

/** The bytes of a dump as pg_dump wrote them. */
export interface OpenArchive {
  readonly format: 'custom' | 'plain';
  /** Ends only after everything that vouches for the bytes was checked; the last chunk comes only then. */
  readonly body: ByteStream;
}

/** A dump that can be restored: an object of a backup, or a file of an old script. */
export interface Archive {
  /** For messages. */
  readonly name: string;
  /** Major version of the pg_dump that wrote it; `null` when unknown. */
  readonly clientMajor: number | null;
  /** Facts for creating a database like the one dumped; `null` when unknown. */
  readonly source: DatabaseLocale | null;
  /** The parts of a backup of several streams, which `open` joins to one script; `null`: there is one stream. */
  readonly streams: StoredStreams | null;
  /** Whether it is known, before it is opened, to be a custom archive. */
  readonly isCustom: boolean;
  open(signal: AbortSignal): Promise<OpenArchive>;
  /**
   * Reads the stored bytes once and checks their digest: for consumers that cannot be undone. Does nothing where there
   * is no digest to check.
   */
  checkStored(signal: AbortSignal): Promise<void>;
}
