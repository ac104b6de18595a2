import type { ByteStream } from '../core/byte-stream.ts';
import { startClientProcess, type ClientFile, type ClientProcess } from './client-process.ts';
import type { ClientTool } from './client-tools.ts';
import type { Connection } from './connection.ts';
import { feedClient } from './feed-client.ts';
import { hasSucceeded, toBrokenPromise, toToolFailure } from './tool-failure.ts';

export interface ArchiveRestore {
  readonly tool: ClientTool;
  /** Of `planPgRestore`. */
  readonly args: readonly string[];
  readonly connection: Connection;
  readonly signal?: AbortSignal | undefined;
  /** pg_restore may finish before it has read everything: it does when only a part of the archive is wanted. */
  readonly allowEarlyExit?: boolean | undefined;
  /** Between SIGTERM and SIGKILL; 5 seconds by default. */
  readonly graceMs?: number | undefined;
}

export interface RestoreReport {
  readonly warnings: readonly string[];
  /** Not all of the source was read, and so not all of it was checked. Only with `allowEarlyExit`. */
  readonly endedEarly: boolean;
}

/**
 * Restores a custom-format archive in one transaction. When the source throws, the signal aborts or pg_restore fails,
 * nothing is committed: pg_restore is killed, and gone, before its input is closed.
 *
 * pg_restore commits once it has the last byte of the last data block; it does not wait for the end of its input. Each
 * chunk is written on as it comes, so the caller must give the last chunk only after everything was verified
 * (`holdLastBytes`). With `allowEarlyExit` not even that helps: use `restoreArchiveAsScript` where the rest of the
 * archive could still turn out to be wrong.
 *
 * Errors: what the source throws; the signal's reason; `postgres` with what pg_restore said.
 */
export async function restoreArchive(restore: ArchiveRestore, source: ByteStream): Promise<RestoreReport> {
  const { tool, connection, signal, graceMs } = restore;
  const args = [...restore.args, '--exit-on-error', '--single-transaction', '--no-password'];
  const client = startClientProcess(tool, { args, connection, withStdin: true, signal, graceMs });
  client.stdout.resume();
  try {
    const fed = await feedClient(client, source, { signal, onEarlyEnd: 'return' });
    await finish(client, signal);
    if (fed === 'part' && restore.allowEarlyExit !== true) {
      throw toBrokenPromise(client, 'finished before it had read the whole archive');
    }
    return { warnings: client.stderr.warnings, endedEarly: fed === 'part' };
  } finally {
    await client.terminate();
  }
}

export interface DefinitionsRestore {
  readonly tool: ClientTool;
  /** Of `planPgRestore`. */
  readonly args: readonly string[];
  readonly connection: Connection;
  /** How many sessions work side by side. */
  readonly jobs: number;
  /** Only the entries with these ids, in this order; all by default. */
  readonly entries?: readonly number[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Restores what comes after the rows - indexes, constraints, triggers - of an archive in memory, of which only the
 * beginning up to the end of its table of contents is needed. Several sessions, so it is not one transaction. Errors:
 * `postgres`, the signal's reason.
 */
export async function restorePostData(
  restore: DefinitionsRestore,
  archive: Uint8Array,
): Promise<{ readonly warnings: readonly string[] }> {
  const { tool, connection, jobs, entries, signal } = restore;
  const args = [...restore.args, '--section=post-data', `--jobs=${jobs}`, '--exit-on-error', '--no-password'];
  const files: ClientFile[] = [{ content: archive, argument: (path) => path }];
  if (entries !== undefined) files.unshift(chooseEntries(entries));
  const client = startClientProcess(tool, { args, connection, files, signal });
  client.stdout.resume();
  try {
    await finish(client, signal);
    return { warnings: client.stderr.warnings };
  } finally {
    await client.terminate();
  }
}

/** Has pg_restore take the entries with these ids only, in this order. */
export function chooseEntries(ids: readonly number[]): ClientFile {
  return { content: ids.map((id) => `${id};\n`).join(''), argument: (path) => `--use-list=${path}` };
}

/**
 * The table of contents of an archive, as `pg_restore --list` prints it. It stops reading after the archive's head; here,
 * and only here, that is success. `readToEnd` reads the source to its end all the same, so that its checks happen.
 */
export async function listArchive(
  list: {
    readonly tool: ClientTool;
    /** Of `planPgRestore`. */
    readonly args?: readonly string[];
    readonly signal?: AbortSignal | undefined;
    readonly readToEnd?: boolean;
  },
  source: ByteStream,
): Promise<string> {
  const { tool, args = [], signal } = list;
  const client = startClientProcess(tool, { args: ['--list', ...args], withStdin: true, signal });
  const feed = async () => {
    await feedClient(client, source, { signal, onEarlyEnd: list.readToEnd === true ? 'drain' : 'return' });
    await finish(client, signal);
  };
  try {
    const [contents] = await Promise.all([readText(client), feed()]);
    if (contents === '') throw toBrokenPromise(client, 'printed no table of contents');
    return contents;
  } finally {
    await client.terminate();
  }
}

/** Closes the child's input, which is complete or no longer wanted, and waits for a good end. */
async function finish(client: ClientProcess, signal: AbortSignal | undefined): Promise<void> {
  client.stdin.end();
  const exit = await client.exited;
  if (hasSucceeded(exit)) return;
  signal?.throwIfAborted();
  throw toToolFailure(client, exit);
}

async function readText(client: ClientProcess): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of client.stdout as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}
